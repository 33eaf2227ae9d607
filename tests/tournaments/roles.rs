//! Every route of a tournament with everybody that one can be to it. A route that is not in the table fails the test.

use std::collections::BTreeMap;

use mohaa_stats::routes;
use mohaa_stats::users::Role;
use serde_json::json;

use crate::support::{Cup, Service};

/// Who may, besides admins: the sets grow from one to the next but for captains, who may what referees may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum May {
    Anybody,
    SignedIn,
    /// Of one of the sides, and staff.
    CaptainsAndStaff,
    Staff,
    Organizers,
}

use May::{Anybody, CaptainsAndStaff, Organizers, SignedIn, Staff};

const TABLE: &[(&str, &str, May)] = &[
    ("GET", "", Anybody),
    ("PUT", "", Organizers),
    ("POST", "/status", Organizers),
    ("GET", "/staff", Anybody),
    ("PUT", "/staff", Organizers),
    ("POST", "/undo", Organizers),
    ("GET", "/bracket", Anybody),
    ("GET", "/standings", Anybody),
    ("GET", "/statistics", Anybody),
    ("GET", "/participants", Anybody),
    ("PUT", "/participants", Organizers),
    ("PUT", "/seeds", Organizers),
    ("POST", "/participants/{participant}/disqualify", Organizers),
    ("POST", "/register", SignedIn),
    ("DELETE", "/register", SignedIn),
    ("POST", "/checkin", SignedIn),
    ("POST", "/rounds/next", Organizers),
    ("GET", "/matches/{key}", Anybody),
    ("POST", "/matches/{key}/report", CaptainsAndStaff),
    ("POST", "/matches/{key}/confirm", CaptainsAndStaff),
    ("POST", "/matches/{key}/dispute", CaptainsAndStaff),
    ("POST", "/matches/{key}/resolve", Organizers),
    ("POST", "/matches/{key}/reset", Organizers),
    ("POST", "/matches/{key}/schedule", Staff),
    ("POST", "/matches/{key}/start", CaptainsAndStaff),
    ("POST", "/matches/{key}/veto", CaptainsAndStaff),
    ("POST", "/matches/{key}/correct", Organizers),
    ("GET", "/audit", Staff),
    ("GET", "/export", Organizers),
    ("GET", "/events", Anybody),
];

const PREFIX: &str = "/api/v1/tournaments/{id}";

#[actix_web::test]
async fn every_route_of_a_tournament_is_open_to_whom_the_table_says() {
    let listed: BTreeMap<(String, String), May> = TABLE
        .iter()
        .map(|(method, rest, may)| (((*method).to_owned(), format!("{PREFIX}{rest}")), *may))
        .collect();
    let served: Vec<(String, String)> = routes::all()
        .iter()
        .filter(|route| route.path.starts_with(PREFIX))
        .map(|route| (route.method.to_string(), route.path.to_owned()))
        .collect();
    assert_eq!(listed.keys().cloned().collect::<Vec<_>>(), {
        let mut served = served;
        served.sort();
        served
    });

    let service = Service::start("tournament_roles").await;
    let (_, owner) = service.add_user("Owner", Role::Organizer).await;
    let (appointed_id, appointed) = service.add_user("Appointed", Role::Player).await;
    let (referee_id, referee) = service.add_user("Referee", Role::Player).await;
    let (captain_id, captain) = service.add_user("Captain", Role::Player).await;
    let (other_captain_id, other_captain) = service.add_user("Other captain", Role::Player).await;
    let (_, stranger) = service.add_user("Stranger", Role::Player).await;
    let (_, foreign) = service.add_user("Foreign organizer", Role::Organizer).await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    service.link_player(captain_id, "captain").await;
    service.link_player(other_captain_id, "other-captain").await;
    let settings = json!({ "name": "Cup", "format": "single_elimination", "map_pool": ["a", "b"] });
    let cup = Cup::draft(&service.client, &owner, settings).await;
    cup.moves_to("registration_open").await;
    for token in [&captain, &other_captain] {
        let entered = service.client.call_as(token, "POST", &cup.path("/register"), json!({})).await;
        assert_eq!(entered.status, 201, "{}", entered.text);
    }
    cup.enters("Third").await;
    cup.enters("Fourth").await;
    for (user_id, role) in [(appointed_id, "organizer"), (referee_id, "referee")] {
        let body = json!({ "user_id": user_id, "role": role });
        let appointed = service.client.call_as(&owner, "PUT", &cup.path("/staff"), body).await;
        assert_eq!(appointed.status, 200, "{}", appointed.text);
    }
    cup.moves_to("registration_closed").await;
    cup.moves_to("in_progress").await;

    // Of R1.1: the captain's first match, and nothing of the other one's, who plays R1.2.
    let callers: [(&str, Option<&str>, &[May]); 9] = [
        ("nobody", None, &[Anybody]),
        ("a stranger", Some(&stranger), &[Anybody, SignedIn]),
        ("a foreign organizer", Some(&foreign), &[Anybody, SignedIn]),
        ("the other match's captain", Some(&other_captain), &[Anybody, SignedIn]),
        ("the captain", Some(&captain), &[Anybody, SignedIn, CaptainsAndStaff]),
        ("a referee", Some(&referee), &[Anybody, SignedIn, CaptainsAndStaff, Staff]),
        ("an organizer", Some(&appointed), &[Anybody, SignedIn, CaptainsAndStaff, Staff, Organizers]),
        ("the owner", Some(&owner), &[Anybody, SignedIn, CaptainsAndStaff, Staff, Organizers]),
        ("an admin", Some(&admin), &[Anybody, SignedIn, CaptainsAndStaff, Staff, Organizers]),
    ];
    for (method, rest, may) in TABLE.iter().filter(|(_, rest, _)| *rest != "/events") {
        let path = cup.path(&rest.replace("{key}", "R1.1").replace("{participant}", "99"));
        for (who, token, allowed) in &callers {
            // Lacks what it needs, or is of a version that is gone, so that nothing comes of it where it is allowed.
            let body = match *rest {
                "/matches/{key}/report" => json!({ "score1": 0, "score2": 0 }),
                "/matches/{key}/dispute" => json!({ "reason": "none" }),
                "/matches/{key}/veto" => json!({ "map": "nowhere" }),
                _ => json!({}),
            };
            let bearer = token.map(|token| format!("Bearer {token}"));
            let mut headers = vec![("Content-Type", "application/json"), ("If-Match", "\"1\"")];
            headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
            let reply = service.client.call(method, &path, &headers, body.to_string()).await;
            let status = reply.status.as_u16();
            let told = format!("{method} {rest} by {who}: {status} {}", reply.text);
            assert!(status < 500, "{told}");
            match (allowed.contains(may), token) {
                (true, _) => assert!(!matches!(status, 401 | 403), "{told}"),
                (false, None) => assert_eq!(status, 401, "{told}"),
                (false, Some(_)) => assert_eq!(status, 403, "{told}"),
            }
        }
    }
    service.stop().await;
}
