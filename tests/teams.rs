//! Teams, their members and invitations.

use mohaa_stats::teams::{captain_of, roster};
use mohaa_stats::users::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Cup, Reply, Service};

/// A user with a token.
struct Person {
    id: i32,
    token: String,
}

async fn person(service: &Service, name: &str) -> Person {
    let (id, token) = service.add_user(name, Role::Player).await;
    Person { id, token }
}

impl Person {
    async fn call(&self, service: &Service, method: &str, path: &str, body: Value) -> Reply {
        service.client.call_as(&self.token, method, path, body).await
    }

    /// Makes a team of this name; its path.
    async fn team(&self, service: &Service, name: &str) -> String {
        let made = self.call(service, "POST", "/api/v1/teams", json!({ "name": name })).await;
        assert_eq!(made.status, 201, "{}", made.text);
        format!("/api/v1/teams/{}", made.json()["team_id"].as_str().unwrap())
    }

    async fn code(&self, service: &Service, team: &str, body: Value) -> String {
        let made = self.call(service, "POST", &format!("{team}/invites"), body).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made.json()["code"].as_str().unwrap().to_owned()
    }

    async fn show_code(&self, service: &Service, code: &str) -> Reply {
        self.call(service, "POST", "/api/v1/teams/invites/accept", json!({ "code": code })).await
    }

    async fn join(&self, service: &Service, captain: &Person, team: &str) {
        let code = captain.code(service, team, json!({})).await;
        let joined = self.show_code(service, &code).await;
        assert_eq!(joined.status, 200, "{}", joined.text);
    }
}

/// Who is in a team by role: `(user id, role)` in the order of the answer.
async fn members(service: &Service, team: &str) -> Vec<(i64, String)> {
    let list = service.client.get(&format!("{team}/members")).await;
    assert_eq!(list.status, 200, "{}", list.text);
    let member =
        |member: &Value| (member["user_id"].as_i64().unwrap(), member["role"].as_str().unwrap().to_owned());
    list.json()["members"].as_array().unwrap().iter().map(member).collect()
}

fn id_of(team: &str) -> Uuid {
    team.rsplit('/').next().unwrap().parse().unwrap()
}

fn as_member(person: &Person, role: &str) -> (i64, String) {
    (i64::from(person.id), role.to_owned())
}

#[actix_web::test]
async fn a_team_has_one_captain_who_can_hand_it_over_and_is_never_without() {
    let service = Service::start("captains").await;
    let (anna, bert) = (person(&service, "Anna").await, person(&service, "Bert").await);
    let team = anna.team(&service, "^1Red ^7Devils").await;
    let member = |person: &Person| format!("{team}/members/{}", person.id);

    // The only one can neither leave nor step down.
    anna.call(&service, "DELETE", &member(&anna), json!({})).await.assert_refused(409, "captain_stays");
    let down = json!({ "role": "member" });
    anna.call(&service, "PUT", &member(&anna), down.clone()).await.assert_refused(409, "captain_stays");
    let up = json!({ "role": "captain" });
    anna.call(&service, "PUT", &member(&bert), up.clone()).await.assert_refused(404, "unknown_member");

    bert.join(&service, &anna, &team).await;
    bert.call(&service, "PUT", &member(&bert), up.clone()).await.assert_refused(403, "not_your_team");
    let benched = anna.call(&service, "PUT", &member(&bert), json!({ "role": "substitute" })).await;
    assert_eq!(benched.status, 200, "{}", benched.text);
    assert_eq!(members(&service, &team).await, [as_member(&anna, "captain"), as_member(&bert, "substitute")]);

    assert_eq!(anna.call(&service, "PUT", &member(&bert), up).await.status, 200);
    assert_eq!(members(&service, &team).await, [as_member(&bert, "captain"), as_member(&anna, "member")]);
    let pool = &service.application.postgres;
    assert_eq!(captain_of(pool, bert.id).await.unwrap(), [id_of(&team)]);
    assert_eq!(captain_of(pool, anna.id).await.unwrap(), Vec::<Uuid>::new());
    let found = roster(pool, id_of(&team)).await.unwrap().unwrap();
    assert_eq!((found.name.as_str(), found.tag), ("^1Red ^7Devils", None));
    assert_eq!(
        (found.captain_ids, found.member_ids, found.substitute_ids),
        (vec![bert.id], vec![anna.id], vec![])
    );

    // Everybody may leave but the captain; nobody is thrown out but by the captain.
    anna.call(&service, "DELETE", &member(&bert), json!({})).await.assert_refused(403, "not_your_team");
    assert_eq!(anna.call(&service, "DELETE", &member(&anna), json!({})).await.status, 204);
    anna.call(&service, "DELETE", &member(&anna), json!({})).await.assert_refused(404, "unknown_member");
    anna.join(&service, &bert, &team).await;
    assert_eq!(bert.call(&service, "DELETE", &member(&anna), json!({})).await.status, 204);
    assert_eq!(members(&service, &team).await, [as_member(&bert, "captain")]);
    service.stop().await;
}

#[actix_web::test]
async fn a_name_belongs_to_one_team_whatever_its_case_and_colours() {
    let service = Service::start("team_names").await;
    let (anna, bert) = (person(&service, "Anna").await, person(&service, "Bert").await);
    let team = anna.team(&service, "Red Devils").await;
    for name in ["RED DEVILS", "^1Red ^2Devils", " red  devils "] {
        let made = bert.call(&service, "POST", "/api/v1/teams", json!({ "name": name })).await;
        made.assert_refused(409, "name_taken");
    }
    let others = bert.team(&service, "Blue Devils").await;
    let renamed = json!({ "name": "^4red devils", "tag": "[B]" });
    bert.call(&service, "PUT", &others, renamed).await.assert_refused(409, "name_taken");
    for (body, field) in [
        (json!({ "name": "a\nb" }), "name"),
        (json!({ "name": "\u{202e}abc" }), "name"),
        (json!({ "name": "x".repeat(33) }), "name"),
        (json!({ "name": "^1" }), "name"),
        (json!({ "name": "Fine", "tag": "much too long" }), "tag"),
        (json!({}), "name"),
    ] {
        let refused = bert.call(&service, "POST", "/api/v1/teams", body).await;
        refused.assert_refused(422, "validation_failed");
        assert!(refused.json()["fields"][field].is_string(), "{}", refused.text);
    }
    // The same name in other colours, and a tag.
    let changed = anna.call(&service, "PUT", &team, json!({ "name": "^1Red ^7Devils", "tag": "^1RD" })).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!((&changed.json()["name"], &changed.json()["tag"]), (&json!("^1Red ^7Devils"), &json!("^1RD")));

    let found = service.client.get("/api/v1/teams?q=RED%20dev").await.json();
    assert_eq!((&found["total"], &found["teams"][0]["name"]), (&json!(1), &json!("^1Red ^7Devils")));
    let all = service.client.get("/api/v1/teams?limit=1&page=2").await.json();
    assert_eq!((&all["total"], all["teams"].as_array().unwrap().len()), (&json!(2), 1));
    assert_eq!(all["teams"][0]["captain_name"], "Anna");

    // Who is no captain changes nothing; an admin may only disband.
    let (_, admin) = service.add_user("Chief", Role::Admin).await;
    for token in [&bert.token, &admin] {
        let refused = service.client.call_as(token, "PUT", &team, json!({ "name": "Mine now" })).await;
        refused.assert_refused(403, "not_your_team");
    }
    bert.call(&service, "DELETE", &team, json!({})).await.assert_refused(403, "not_your_team");
    assert_eq!(service.client.call_as(&admin, "DELETE", &team, json!({})).await.status, 204);
    service.client.get(&team).await.assert_refused(404, "unknown_team");
    assert_eq!(roster(&service.application.postgres, id_of(&team)).await.unwrap(), None);
    bert.team(&service, "Red Devils").await;
    service.stop().await;
}

#[actix_web::test]
async fn who_is_invited_accepts_or_declines_and_nobody_else_can() {
    let service = Service::start("team_invites").await;
    let (anna, bert, carl) =
        (person(&service, "Anna").await, person(&service, "Bert").await, person(&service, "Carl").await);
    let team = anna.team(&service, "Rangers").await;
    let invites = format!("{team}/invites");
    let invite = json!({ "user_id": bert.id });
    bert.call(&service, "POST", &invites, invite.clone()).await.assert_refused(403, "not_your_team");
    let unknown = anna.call(&service, "POST", &invites, json!({ "user_id": 7 })).await;
    unknown.assert_refused(422, "validation_failed");
    let made = anna.call(&service, "POST", &invites, invite.clone()).await;
    assert_eq!((made.status.as_u16(), &made.json()["code"]), (201, &Value::Null), "{}", made.text);
    let first = format!("{invites}/{}", made.json()["invite_id"].as_str().unwrap());
    let again = anna.call(&service, "POST", &invites, invite.clone()).await.json();
    let second = format!("{invites}/{}", again["invite_id"].as_str().unwrap());

    let own = bert.call(&service, "GET", "/api/v1/users/me/team-invites", Value::Null).await.json();
    let states: Vec<&str> =
        own["invites"].as_array().unwrap().iter().map(|it| it["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["open", "revoked"], "{own}");
    assert_eq!(own["invites"][0]["team_name"], "Rangers");
    let others = carl.call(&service, "GET", "/api/v1/users/me/team-invites", Value::Null).await.json();
    assert_eq!(others["total"], 0);
    carl.call(&service, "GET", &invites, Value::Null).await.assert_refused(403, "not_your_team");

    let accept = |path: &str| format!("{path}/accept");
    carl.call(&service, "POST", &accept(&second), json!({})).await.assert_refused(404, "unknown_invite");
    bert.call(&service, "POST", &accept(&first), json!({})).await.assert_refused(410, "invite_over");
    let declined = bert.call(&service, "POST", &format!("{second}/decline"), json!({})).await;
    assert_eq!(declined.status, 204, "{}", declined.text);
    anna.call(&service, "POST", &invites, invite).await.assert_refused(409, "declined_lately");
    bert.call(&service, "POST", &accept(&second), json!({})).await.assert_refused(410, "invite_over");

    let made = anna.call(&service, "POST", &invites, json!({ "user_id": carl.id })).await.json();
    let path = format!("{invites}/{}", made["invite_id"].as_str().unwrap());
    assert_eq!(carl.call(&service, "POST", &accept(&path), json!({})).await.status, 200);
    assert_eq!(members(&service, &team).await, [as_member(&anna, "captain"), as_member(&carl, "member")]);
    let again = anna.call(&service, "POST", &invites, json!({ "user_id": carl.id })).await;
    again.assert_refused(409, "already_member");
    let listed = anna.call(&service, "GET", &invites, Value::Null).await.json();
    assert_eq!((&listed["total"], &listed["invites"][0]["status"]), (&json!(3), &json!("accepted")));

    let export = carl.call(&service, "GET", "/api/v1/users/me/export", Value::Null).await.json();
    assert_eq!(
        (&export["teams"][0]["name"], &export["teams"][0]["role"]),
        (&json!("Rangers"), &json!("member"))
    );
    assert_eq!(export["team_invites"][0]["status"], "accepted");
    let mine = carl.call(&service, "GET", "/api/v1/users/me/teams", Value::Null).await.json();
    assert_eq!((&mine["total"], &mine["teams"][0]["member_count"]), (&json!(1), &json!(2)));
    service.stop().await;
}

#[actix_web::test]
async fn a_code_lets_in_as_many_as_it_says_until_it_expires_or_is_revoked_and_cannot_be_guessed() {
    let service = Service::start("team_codes").await;
    let anna = person(&service, "Anna").await;
    let team = anna.team(&service, "Rangers").await;
    let code = anna.code(&service, &team, json!({})).await;
    let mut people = Vec::new();
    for name in ["Bert", "Carl", "Dora", "Emil"] {
        people.push(person(&service, name).await);
    }
    let [bert, carl, dora, emil] = people.as_slice() else { panic!("four") };

    // Of two at once who show it, one gets in. It is read as people type it.
    let typed = format!(" {}-{} ", code[..4].to_lowercase(), &code[4..]);
    let (one, other) = tokio::join!(bert.show_code(&service, &code), carl.show_code(&service, &typed));
    let mut answers = [one.status.as_u16(), other.status.as_u16()];
    answers.sort_unstable();
    assert_eq!(answers, [200, 410], "{} {}", one.text, other.text);
    assert_eq!(members(&service, &team).await.len(), 2);

    let code = anna.code(&service, &team, json!({ "uses": 2, "hours": 1 })).await;
    let pool = &service.application.postgres;
    let stored: Vec<String> =
        sqlx::query_scalar("SELECT team_invites::text FROM team_invites").fetch_all(pool).await.unwrap();
    assert!(stored.iter().all(|row| !row.contains(&code)), "only hashes are kept");
    assert_eq!(dora.show_code(&service, &code).await.status, 200);
    dora.show_code(&service, &code).await.assert_refused(409, "already_member");
    sqlx::query("UPDATE team_invites SET expires_at = now() - interval '1 second'")
        .execute(pool)
        .await
        .unwrap();
    emil.show_code(&service, &code).await.assert_refused(410, "invite_over");

    let invites = format!("{team}/invites");
    let made = anna.call(&service, "POST", &invites, json!({})).await.json();
    let path = format!("{invites}/{}", made["invite_id"].as_str().unwrap());
    assert_eq!(anna.call(&service, "DELETE", &path, json!({})).await.status, 204);
    anna.call(&service, "DELETE", &path, json!({})).await.assert_refused(404, "unknown_invite");
    emil.show_code(&service, made["code"].as_str().unwrap()).await.assert_refused(410, "invite_over");
    for wrong in [json!({ "uses": 0 }), json!({ "uses": 33 }), json!({ "hours": 0 }), json!({ "hours": 721 })]
    {
        anna.call(&service, "POST", &invites, wrong).await.assert_refused(422, "validation_failed");
    }

    let good = anna.code(&service, &team, json!({})).await;
    for _ in 0..20 {
        emil.show_code(&service, "ABCDEFGHJ").await.assert_refused(404, "unknown_invite");
    }
    emil.show_code(&service, &good).await.assert_refused(429, "too_many_guesses");
    service.stop().await;
}

#[actix_web::test]
async fn whoever_is_deleted_or_banned_leaves_their_teams_to_the_others() {
    let service = Service::start("leaving_teams").await;
    let (anna, bert, carl) =
        (person(&service, "Anna").await, person(&service, "Bert").await, person(&service, "Carl").await);
    let team = anna.team(&service, "Rangers").await;
    let alone = anna.team(&service, "Alone").await;
    bert.join(&service, &anna, &team).await;
    carl.join(&service, &anna, &team).await;
    let benched = anna
        .call(&service, "PUT", &format!("{team}/members/{}", bert.id), json!({ "role": "substitute" }))
        .await;
    assert_eq!(benched.status, 200);

    let gone = anna.call(&service, "DELETE", "/api/v1/users/me", json!({})).await;
    assert_eq!(gone.status, 204, "{}", gone.text);
    assert_eq!(
        members(&service, &team).await,
        [as_member(&carl, "captain"), as_member(&bert, "substitute")],
        "a member before a substitute, however long that one is there"
    );
    service.client.get(&alone).await.assert_refused(404, "unknown_team");
    bert.team(&service, "alone").await;

    let (_, admin) = service.add_user("Chief", Role::Admin).await;
    let open = carl.code(&service, &team, json!({})).await;
    let ban = format!("/api/v1/admin/users/{}/ban", carl.id);
    assert_eq!(service.client.call_as(&admin, "POST", &ban, json!({})).await.status, 204);
    assert_eq!(members(&service, &team).await, [as_member(&bert, "captain")]);
    let dora = person(&service, "Dora").await;
    assert_eq!(
        dora.show_code(&service, &open).await.status,
        200,
        "the team goes on, and so do its invitations"
    );

    let log = service.client.get_as(&admin, "/api/v1/admin/audit?limit=100").await.json();
    let actions: Vec<&str> = log["entries"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|entry| entry["subject_kind"] == "team")
        .map(|entry| entry["action"].as_str().unwrap())
        .collect();
    for action in
        ["team.create", "team.join", "team.set_role", "team.leave", "team.hand_over", "team.disband"]
    {
        assert!(actions.contains(&action), "{action} in {actions:?}");
    }
    let kept: Vec<String> = sqlx::query_scalar("SELECT audit_log::text FROM audit_log")
        .fetch_all(&service.application.postgres)
        .await
        .unwrap();
    assert!(!kept.join("\n").contains("Rangers"), "the log holds no names that people choose");
    let carl_id = carl.id.to_string();
    let of_carl =
        log["entries"].as_array().unwrap().iter().find(|entry| entry["subject_id"] == carl_id.as_str());
    assert_eq!(of_carl.unwrap()["subject_name"], "Carl", "but says what is called so now");
    service.stop().await;
}

#[actix_web::test]
async fn two_captains_to_be_who_are_banned_at_once_leave_no_team_to_either() {
    let service = Service::start("team_bans").await;
    let (anna, bert, carl) =
        (person(&service, "Anna").await, person(&service, "Bert").await, person(&service, "Carl").await);
    let team = anna.team(&service, "Rangers").await;
    bert.join(&service, &anna, &team).await;
    carl.join(&service, &anna, &team).await;
    let (_, admin) = service.add_user("Chief", Role::Admin).await;
    let ban = async |person: &Person| {
        let path = format!("/api/v1/admin/users/{}/ban", person.id);
        service.client.call_as(&admin, "POST", &path, json!({})).await.status.as_u16()
    };
    let banned = tokio::join!(ban(&anna), ban(&bert));
    assert_eq!(banned, (204, 204));
    assert_eq!(members(&service, &team).await, [as_member(&carl, "captain")]);
    service.stop().await;
}

#[actix_web::test]
async fn a_captain_enters_the_team_and_speaks_for_it() {
    let service = Service::start("team_cup").await;
    let (_, organizer) = service.add_user("Organizer", Role::Organizer).await;
    let settings = json!({ "name": "Duos", "format": "single_elimination", "team_size": 2 });
    let cup = Cup::draft(&service.client, &organizer, settings).await;
    cup.moves_to("registration_open").await;
    let mut captains = Vec::new();
    for name in ["Rangers", "Pioneers"] {
        let (captain, mate) = (person(&service, name).await, person(&service, &format!("{name} two")).await);
        let team = captain.team(&service, name).await;
        let enter = json!({ "team_id": id_of(&team) });
        let register = cup.path("/register");
        let alone = captain.call(&service, "POST", &register, enter.clone()).await;
        alone.assert_refused(409, "team_too_small");
        mate.join(&service, &captain, &team).await;
        mate.call(&service, "POST", &register, enter.clone()).await.assert_refused(403, "not_captain");
        captain.call(&service, "POST", &register, json!({})).await.assert_refused(409, "teams_only");
        let entered = captain.call(&service, "POST", &register, enter.clone()).await;
        assert_eq!(
            (entered.status.as_u16(), &entered.json()["name"]),
            (201, &json!(name)),
            "{}",
            entered.text
        );
        captain.call(&service, "POST", &register, enter).await.assert_refused(409, "already_registered");
        captains.push((captain, mate));
    }
    cup.moves_to("registration_closed").await;
    cup.moves_to("in_progress").await;
    let report = cup.path("/matches/R1.1/report");
    let score = json!({ "score1": 2, "score2": 1 });
    captains[0].1.call(&service, "POST", &report, score.clone()).await.assert_refused(403, "not_allowed");
    for (captain, _) in &captains {
        let reported = captain.call(&service, "POST", &report, score.clone()).await;
        assert_eq!(reported.status, 200, "{}", reported.text);
    }
    assert_eq!(cup.final_places().await, [["Rangers"], ["Pioneers"]]);
    service.stop().await;
}

#[actix_web::test]
async fn a_change_that_is_sent_again_under_its_key_is_done_once() {
    let service = Service::start("team_keys").await;
    let captain = person(&service, "Captain").await;
    let other = person(&service, "Other").await;
    let under = async |person: &Person, key: &str, method: &str, path: &str, body: Value| {
        let bearer = format!("Bearer {}", person.token);
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
            ("Idempotency-Key", key),
        ];
        service.client.call(method, path, &headers, body.to_string()).await
    };
    let make = json!({ "name": "Once" });
    // At the same moment, too.
    let (one, again) = futures_util::join!(
        under(&captain, "make", "POST", "/api/v1/teams", make.clone()),
        under(&captain, "make", "POST", "/api/v1/teams", make.clone()),
    );
    assert_eq!((one.status.as_u16(), again.status.as_u16()), (201, 201), "{} {}", one.text, again.text);
    assert_eq!(one.json(), again.json());
    let team = format!("/api/v1/teams/{}", one.json()["team_id"].as_str().unwrap());
    under(&captain, "make", "POST", "/api/v1/teams", json!({ "name": "Twice" }))
        .await
        .assert_refused(409, "idempotency_key_reused");
    under(&captain, "make", "PUT", &team, make.clone()).await.assert_refused(409, "idempotency_key_reused");
    // Somebody else's key is another one, and a refusal is no answer to keep.
    under(&other, "make", "POST", "/api/v1/teams", make.clone()).await.assert_refused(409, "name_taken");
    let theirs = under(&other, "make", "POST", "/api/v1/teams", json!({ "name": "Theirs" })).await;
    assert_eq!(theirs.status, 201, "{}", theirs.text);

    let invites = format!("{team}/invites");
    let made = under(&captain, "code", "POST", &invites, json!({})).await;
    let again = under(&captain, "code", "POST", &invites, json!({})).await;
    assert_eq!(made.json()["invite_id"], again.json()["invite_id"]);
    assert_eq!((made.json()["code"].is_string(), &again.json()["code"]), (true, &Value::Null));
    let code = made.json()["code"].clone();
    let accept = json!({ "code": code });
    for _ in 0..2 {
        let joined = under(&other, "join", "POST", "/api/v1/teams/invites/accept", accept.clone()).await;
        assert_eq!(joined.status, 200, "{}", joined.text);
    }
    assert_eq!(members(&service, &team).await.len(), 2);
    let leave = format!("{team}/members/{}", other.id);
    for _ in 0..2 {
        let left = under(&other, "leave", "DELETE", &leave, json!({})).await;
        assert_eq!(left.status, 204, "{}", left.text);
    }
    for _ in 0..2 {
        let gone = under(&captain, "end", "DELETE", &team, json!({})).await;
        assert_eq!(gone.status, 204, "{}", gone.text);
    }
    let kept: String = sqlx::query_scalar("SELECT string_agg(answer::text, ' ') FROM answered_requests")
        .fetch_one(&service.application.postgres)
        .await
        .unwrap();
    assert!(!kept.contains(code.as_str().unwrap()), "a code is told once");
    service.stop().await;
}
