//! Every route with every kind of caller. A route that is not in the table fails the test: whoever adds one says here, a
//! second time, whom it is open to.

use std::collections::BTreeMap;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use mohaa_stats::access::Access;
use mohaa_stats::auth::AccessTokens;
use mohaa_stats::config::Secret;
use mohaa_stats::routes;
use mohaa_stats::users::Role;

use crate::support::{JWT_SECRET, Reply, Service, eventually};

const ANYONE: Access = Access::Anyone;
const SERVER: Access = Access::GameServer;
const PLAYER: Access = Access::Role(Role::Player);
const ORGANIZER: Access = Access::Role(Role::Organizer);
const ADMIN: Access = Access::Role(Role::Admin);

/// A route, whom it is open to, and a request that harms nobody with its answer to those who may make it: mostly one that
/// names nothing, or lacks something. Whoever may not make it must be told so before that.
struct Case {
    method: &'static str,
    path: &'static str,
    access: Access,
    url: &'static str,
    body: Option<&'static str>,
    answer: u16,
}

const fn get(path: &'static str, access: Access, url: &'static str, answer: u16) -> Case {
    Case { method: "GET", path, access, url, body: None, answer }
}

const fn post(path: &'static str, access: Access, body: &'static str, answer: u16) -> Case {
    Case { method: "POST", path, access, url: path, body: Some(body), answer }
}

const fn at(url: &'static str, case: Case) -> Case {
    Case { url, ..case }
}

const fn delete(path: &'static str, access: Access, url: &'static str, answer: u16) -> Case {
    Case { method: "DELETE", path, access, url, body: None, answer }
}

const fn put(path: &'static str, access: Access, body: &'static str, answer: u16) -> Case {
    Case { method: "PUT", path, access, url: path, body: Some(body), answer }
}

/// A form without its token: nobody's browser sends that.
const fn form(path: &'static str, access: Access) -> Case {
    post(path, access, "", 403)
}

const NO_SERVER: &str = "/api/v1/servers/00000000-0000-0000-0000-000000000000";
const NO_SERVER_ROTATES: &str = "/api/v1/servers/00000000-0000-0000-0000-000000000000/rotate-token";
const NO_SERVER_PAGE_APPROVE: &str = "/admin/servers/00000000-0000-0000-0000-000000000000/approve";
const NO_SERVER_PAGE_ROTATE: &str = "/admin/servers/00000000-0000-0000-0000-000000000000/rotate";
const NO_SERVER_PAGE_OWNER: &str = "/admin/servers/00000000-0000-0000-0000-000000000000/owner";
const NO_SERVER_PAGE_REMOVE: &str = "/admin/servers/00000000-0000-0000-0000-000000000000/remove";
const NO_TEAM: &str = "/api/v1/teams/00000000-0000-0000-0000-000000000000";
const NO_TEAM_MEMBERS: &str = "/api/v1/teams/00000000-0000-0000-0000-000000000000/members";
const NO_TEAM_MEMBER: &str = "/api/v1/teams/00000000-0000-0000-0000-000000000000/members/7";
const NO_TEAM_INVITES: &str = "/api/v1/teams/00000000-0000-0000-0000-000000000000/invites";
const NO_INVITE: &str =
    "/api/v1/teams/00000000-0000-0000-0000-000000000000/invites/00000000-0000-0000-0000-000000000000";
const NO_INVITE_ACCEPT: &str =
    "/api/v1/teams/00000000-0000-0000-0000-000000000000/invites/00000000-0000-0000-0000-000000000000/accept";
const NO_INVITE_DECLINE: &str =
    "/api/v1/teams/00000000-0000-0000-0000-000000000000/invites/00000000-0000-0000-0000-000000000000/decline";
const NO_WEBHOOK: &str = "/api/v1/webhooks/00000000-0000-0000-0000-000000000000";
const NO_WEBHOOK_ROTATES: &str = "/api/v1/webhooks/00000000-0000-0000-0000-000000000000/rotate-secret";
const NO_WEBHOOK_LOG: &str = "/api/v1/webhooks/00000000-0000-0000-0000-000000000000/deliveries";
const NO_WEBHOOK_REPLAYS: &str = "/api/v1/webhooks/00000000-0000-0000-0000-000000000000/replay";
const NO_WEBHOOK_TEST: &str = "/api/v1/webhooks/00000000-0000-0000-0000-000000000000/test";
const NO_NODE: &str = "/api/v1/ops/nodes/00000000-0000-0000-0000-000000000000/drain";
const A_DELIVERY: &str = r#"{"delivery_id":"00000000-0000-0000-0000-000000000000"}"#;
const NOBODY: &str = "/players/nobody-at-all";

fn table() -> Vec<Case> {
    vec![
        get("/health", ANYONE, "/health", 200),
        get("/ready", ANYONE, "/ready", 200),
        get("/metrics", ANYONE, "/metrics", 200),
        post("/api/v1/ingest/events", SERVER, "[]", 400),
        post("/api/v1/ingest/match-result", SERVER, "{}", 422),
        post("/api/v1/servers/register", ANYONE, "{}", 403),
        get("/api/v1/servers", ANYONE, "/api/v1/servers", 200),
        post("/api/v1/servers", ORGANIZER, "{}", 422),
        post("/api/v1/servers/keys", ORGANIZER, "", 201),
        at(NO_SERVER_ROTATES, post("/api/v1/servers/{id}/rotate-token", ORGANIZER, "", 404)),
        delete("/api/v1/servers/{id}", ORGANIZER, NO_SERVER, 404),
        get("/api/v1/admin/servers", ADMIN, "/api/v1/admin/servers", 200),
        get("/api/v1/users/me/servers", ORGANIZER, "/api/v1/users/me/servers", 200),
        at(
            "/api/v1/admin/servers/00000000-0000-0000-0000-000000000000/approve",
            post("/api/v1/admin/servers/{id}/approve", ADMIN, "{}", 422),
        ),
        at(
            "/api/v1/admin/servers/00000000-0000-0000-0000-000000000000/owner",
            post("/api/v1/admin/servers/{id}/owner", ADMIN, "{}", 422),
        ),
        get("/api/v1/tournaments", ANYONE, "/api/v1/tournaments", 200),
        post("/api/v1/tournaments", ORGANIZER, "{}", 422),
        post("/api/v1/tournaments/import", ORGANIZER, "{}", 422),
        get(
            "/api/v1/tournaments/{id}",
            ANYONE,
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000",
            404,
        ),
        at(
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000",
            put("/api/v1/tournaments/{id}", PLAYER, "{}", 404),
        ),
        at(
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/status",
            post("/api/v1/tournaments/{id}/status", PLAYER, "{}", 404),
        ),
        get(
            "/api/v1/tournaments/{id}/staff",
            ANYONE,
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/staff",
            404,
        ),
        at(
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/staff",
            put("/api/v1/tournaments/{id}/staff", PLAYER, "{}", 404),
        ),
        at(
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/undo",
            post("/api/v1/tournaments/{id}/undo", PLAYER, "{}", 404),
        ),
        get(
            "/api/v1/tournaments/{id}/bracket",
            ANYONE,
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/bracket",
            404,
        ),
        get(
            "/api/v1/tournaments/{id}/standings",
            ANYONE,
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/standings",
            404,
        ),
        get(
            "/api/v1/tournaments/{id}/statistics",
            ANYONE,
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/statistics",
            404,
        ),
        at(
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/register",
            post("/api/v1/tournaments/{id}/register", PLAYER, "{}", 404),
        ),
        delete(
            "/api/v1/tournaments/{id}/register",
            PLAYER,
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/register",
            404,
        ),
        at(
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/checkin",
            post("/api/v1/tournaments/{id}/checkin", PLAYER, "{}", 404),
        ),
        get(
            "/api/v1/tournaments/{id}/participants",
            ANYONE,
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/participants",
            404,
        ),
        at(
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/participants",
            put("/api/v1/tournaments/{id}/participants", PLAYER, "{}", 404),
        ),
        at(
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/seeds",
            put("/api/v1/tournaments/{id}/seeds", PLAYER, "{}", 404),
        ),
        at(
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/participants/1/disqualify",
            post("/api/v1/tournaments/{id}/participants/{participant}/disqualify", PLAYER, "{}", 404),
        ),
        at(
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/rounds/next",
            post("/api/v1/tournaments/{id}/rounds/next", PLAYER, "{}", 404),
        ),
        get(
            "/api/v1/tournaments/{id}/matches/{key}",
            ANYONE,
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/matches/R1.1",
            404,
        ),
        at(
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/matches/R1.1/report",
            post("/api/v1/tournaments/{id}/matches/{key}/report", PLAYER, "{}", 404),
        ),
        at(
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/matches/R1.1/confirm",
            post("/api/v1/tournaments/{id}/matches/{key}/confirm", PLAYER, "{}", 404),
        ),
        at(
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/matches/R1.1/dispute",
            post("/api/v1/tournaments/{id}/matches/{key}/dispute", PLAYER, "{}", 404),
        ),
        at(
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/matches/R1.1/resolve",
            post("/api/v1/tournaments/{id}/matches/{key}/resolve", PLAYER, "{}", 404),
        ),
        at(
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/matches/R1.1/reset",
            post("/api/v1/tournaments/{id}/matches/{key}/reset", PLAYER, "{}", 404),
        ),
        at(
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/matches/R1.1/schedule",
            post("/api/v1/tournaments/{id}/matches/{key}/schedule", PLAYER, "{}", 404),
        ),
        at(
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/matches/R1.1/start",
            post("/api/v1/tournaments/{id}/matches/{key}/start", PLAYER, "{}", 404),
        ),
        at(
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/matches/R1.1/veto",
            post("/api/v1/tournaments/{id}/matches/{key}/veto", PLAYER, "{}", 404),
        ),
        at(
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/matches/R1.1/correct",
            post("/api/v1/tournaments/{id}/matches/{key}/correct", PLAYER, "{}", 404),
        ),
        get(
            "/api/v1/tournaments/{id}/audit",
            PLAYER,
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/audit",
            404,
        ),
        get(
            "/api/v1/tournaments/{id}/export",
            PLAYER,
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/export",
            404,
        ),
        get(
            "/api/v1/tournaments/{id}/events",
            ANYONE,
            "/api/v1/tournaments/00000000-0000-0000-0000-000000000000/events",
            404,
        ),
        get("/api/v1/teams", ANYONE, "/api/v1/teams", 200),
        post("/api/v1/teams", PLAYER, "{}", 422),
        get("/api/v1/teams/{id}", ANYONE, NO_TEAM, 404),
        at(NO_TEAM, put("/api/v1/teams/{id}", PLAYER, r#"{"name":"Nobody"}"#, 404)),
        delete("/api/v1/teams/{id}", PLAYER, NO_TEAM, 404),
        get("/api/v1/teams/{id}/members", ANYONE, NO_TEAM_MEMBERS, 404),
        at(NO_TEAM_MEMBER, put("/api/v1/teams/{id}/members/{user_id}", PLAYER, r#"{"role":"captain"}"#, 404)),
        delete("/api/v1/teams/{id}/members/{user_id}", PLAYER, NO_TEAM_MEMBER, 404),
        get("/api/v1/teams/{id}/invites", PLAYER, NO_TEAM_INVITES, 404),
        at(NO_TEAM_INVITES, post("/api/v1/teams/{id}/invites", PLAYER, "{}", 404)),
        delete("/api/v1/teams/{id}/invites/{invite_id}", PLAYER, NO_INVITE, 404),
        at(NO_INVITE_ACCEPT, post("/api/v1/teams/{id}/invites/{invite_id}/accept", PLAYER, "", 404)),
        at(NO_INVITE_DECLINE, post("/api/v1/teams/{id}/invites/{invite_id}/decline", PLAYER, "", 404)),
        post("/api/v1/teams/invites/accept", PLAYER, "{}", 422),
        get("/api/v1/users/me/teams", PLAYER, "/api/v1/users/me/teams", 200),
        get("/api/v1/users/me/team-invites", PLAYER, "/api/v1/users/me/team-invites", 200),
        get("/api/v1/webhooks", ORGANIZER, "/api/v1/webhooks", 200),
        post("/api/v1/webhooks", ORGANIZER, "{}", 422),
        get("/api/v1/webhooks/{id}", ORGANIZER, NO_WEBHOOK, 404),
        at(NO_WEBHOOK, put("/api/v1/webhooks/{id}", ORGANIZER, r#"{"name":"x","events":["result"]}"#, 404)),
        delete("/api/v1/webhooks/{id}", ORGANIZER, NO_WEBHOOK, 404),
        at(NO_WEBHOOK_ROTATES, post("/api/v1/webhooks/{id}/rotate-secret", ORGANIZER, "", 404)),
        get("/api/v1/webhooks/{id}/deliveries", ORGANIZER, NO_WEBHOOK_LOG, 404),
        at(NO_WEBHOOK_REPLAYS, post("/api/v1/webhooks/{id}/replay", ORGANIZER, A_DELIVERY, 404)),
        at(NO_WEBHOOK_TEST, post("/api/v1/webhooks/{id}/test", ORGANIZER, "", 404)),
        get("/api/v1/ops/actors", ADMIN, "/api/v1/ops/actors", 200),
        at("/api/v1/ops/writers/99/pause", post("/api/v1/ops/writers/{writer}/pause", ADMIN, "", 404)),
        delete("/api/v1/ops/writers/{writer}/pause", ADMIN, "/api/v1/ops/writers/99/pause", 404),
        post("/api/v1/ops/flush", ADMIN, "", 204),
        at(NO_NODE, post("/api/v1/ops/nodes/{node}/drain", ADMIN, "", 404)),
        delete("/api/v1/ops/nodes/{node}/drain", ADMIN, NO_NODE, 404),
        at(
            "/api/v1/ops/matches/00000000-0000-0000-0000-000000000000/end",
            post("/api/v1/ops/matches/{match_id}/end", ADMIN, "", 404),
        ),
        at(
            "/api/v1/ops/dead-letters/none/replay",
            post("/api/v1/ops/dead-letters/{id}/replay", ADMIN, "", 404),
        ),
        get("/api/v1/stats/leaderboard", ANYONE, "/api/v1/stats/leaderboard", 200),
        get("/api/v1/stats/leaderboard/weekly", ANYONE, "/api/v1/stats/leaderboard/weekly", 200),
        get(
            "/api/v1/stats/leaderboard/weapon/{weapon}",
            ANYONE,
            "/api/v1/stats/leaderboard/weapon/none",
            404,
        ),
        get("/api/v1/stats/leaderboard/map/{map:.+}", ANYONE, "/api/v1/stats/leaderboard/map/dm/none", 404),
        get("/api/v1/stats/player/{guid}", ANYONE, "/api/v1/stats/player/nobody", 404),
        get("/api/v1/stats/player/{guid}/weapons", ANYONE, "/api/v1/stats/player/nobody/weapons", 404),
        get("/api/v1/stats/player/{guid}/matches", ANYONE, "/api/v1/stats/player/nobody/matches", 404),
        get(
            "/api/v1/stats/player/{guid}/achievements",
            ANYONE,
            "/api/v1/stats/player/nobody/achievements",
            404,
        ),
        get("/api/v1/stats/player/{guid}/rating", ANYONE, "/api/v1/stats/player/nobody/rating", 404),
        get(
            "/api/v1/stats/player/{guid}/heatmap/{map:.+}",
            ANYONE,
            "/api/v1/stats/player/nobody/heatmap/dm/none",
            404,
        ),
        get("/api/v1/stats/maps/{map:.+}/heatmap", ANYONE, "/api/v1/stats/maps/dm/none/heatmap", 404),
        get("/api/v1/stats/match/{matchId}/heatmap", ANYONE, "/api/v1/stats/match/none/heatmap", 404),
        get("/api/v1/achievements", ANYONE, "/api/v1/achievements", 200),
        get("/achievements", ANYONE, "/achievements", 200),
        get("/players/{id}/maps", ANYONE, "/players/nobody-at-all/maps", 404),
        get("/players/{id}/matches", ANYONE, "/players/nobody-at-all/matches", 404),
        get("/players/{id}/rivals", ANYONE, "/players/nobody-at-all/rivals", 404),
        get("/compare", ANYONE, "/compare?players=nobody,none", 404),
        get("/api/v1/stats/matches", ANYONE, "/api/v1/stats/matches", 200),
        get("/api/v1/stats/match/{matchId}", ANYONE, "/api/v1/stats/match/none", 404),
        get("/api/v1/stats/match/{matchId}/timeline", ANYONE, "/api/v1/stats/match/none/timeline", 404),
        get("/api/v1/stats/match/{matchId}/duels", ANYONE, "/api/v1/stats/match/none/duels", 404),
        get("/api/v1/stats/player/{guid}/maps", ANYONE, "/api/v1/stats/player/nobody/maps", 404),
        get("/api/v1/stats/player/{guid}/rivals", ANYONE, "/api/v1/stats/player/nobody/rivals", 404),
        get("/api/v1/stats/player/{guid}/form", ANYONE, "/api/v1/stats/player/nobody/form", 404),
        get("/api/v1/stats/compare", ANYONE, "/api/v1/stats/compare?players=nobody,none", 404),
        get("/api/v1/stats/live", ANYONE, "/api/v1/stats/live", 200),
        get("/api/v1/stats/live/matches", ANYONE, "/api/v1/stats/live/matches", 200),
        get("/api/v1/live/{matchId}", ANYONE, "/api/v1/live/none", 404),
        get("/api/v1/stats/totals", ANYONE, "/api/v1/stats/totals", 200),
        post("/api/v1/auth/refresh", ANYONE, "{}", 422),
        get("/api/v1/auth/discord", ANYONE, "/api/v1/auth/discord", 404),
        get("/api/v1/auth/discord/callback", ANYONE, "/api/v1/auth/discord/callback", 404),
        get("/api/v1/auth/steam", ANYONE, "/api/v1/auth/steam", 404),
        get("/api/v1/auth/steam/callback", ANYONE, "/api/v1/auth/steam/callback", 404),
        post("/api/v1/auth/device/init", ANYONE, "{}", 200),
        post("/api/v1/auth/device/poll", ANYONE, "{}", 400),
        post("/api/v1/auth/device/approve", PLAYER, "{}", 422),
        post("/api/v1/auth/device/deny", PLAYER, "{}", 422),
        post("/api/v1/auth/game-token", PLAYER, "", 201),
        post("/api/v1/auth/verify", ANYONE, "{}", 401),
        post("/api/v1/auth/claim/init", PLAYER, "", 201),
        post("/api/v1/auth/claim/verify", SERVER, "{}", 422),
        get("/api/v1/users/me", PLAYER, "/api/v1/users/me", 200),
        get("/api/v1/users/me/sessions", PLAYER, "/api/v1/users/me/sessions", 200),
        delete("/api/v1/users/me/sessions/{id}", PLAYER, "/api/v1/users/me/sessions/no-uuid", 404),
        get("/api/v1/users/me/export", PLAYER, "/api/v1/users/me/export", 200),
        get("/api/v1/users/me/players", PLAYER, "/api/v1/users/me/players", 200),
        delete("/api/v1/users/me/players/{id}", PLAYER, "/api/v1/users/me/players/nobody", 404),
        get("/api/v1/users/me/sign-ins", PLAYER, "/api/v1/users/me/sign-ins", 200),
        delete(
            "/api/v1/users/me/sign-ins/{provider}/{subject}",
            PLAYER,
            "/api/v1/users/me/sign-ins/steam/none",
            404,
        ),
        get("/api/v1/admin/users", ADMIN, "/api/v1/admin/users?limit=0", 422),
        at(
            "/api/v1/admin/users/7/role",
            post("/api/v1/admin/users/{id}/role", ADMIN, r#"{"role":"admin"}"#, 404),
        ),
        at("/api/v1/admin/users/7/ban", post("/api/v1/admin/users/{id}/ban", ADMIN, "{}", 404)),
        delete("/api/v1/admin/users/{id}/ban", ADMIN, "/api/v1/admin/users/7/ban", 404),
        at("/api/v1/admin/users/7/sign-out", post("/api/v1/admin/users/{id}/sign-out", ADMIN, "", 404)),
        get("/api/v1/admin/merges", ADMIN, "/api/v1/admin/merges", 200),
        post("/api/v1/admin/merges", ADMIN, "{}", 422),
        get("/api/v1/admin/merges/preview", ADMIN, "/api/v1/admin/merges/preview", 422),
        delete("/api/v1/admin/merges/{id}", ADMIN, "/api/v1/admin/merges/7", 404),
        at(
            "/api/v1/admin/players/%20/anonymise",
            post("/api/v1/admin/players/{id}/anonymise", ADMIN, "", 404),
        ),
        get("/api/v1/admin/maps", ADMIN, "/api/v1/admin/maps", 200),
        at(
            "/api/v1/admin/maps/dm/none/overview",
            post("/api/v1/admin/maps/{map:.+}/overview", ADMIN, "{}", 415),
        ),
        delete("/api/v1/admin/maps/{map:.+}/overview", ADMIN, "/api/v1/admin/maps/dm/none/overview", 404),
        get("/api/v1/admin/audit", ADMIN, "/api/v1/admin/audit", 200),
        get("/", ANYONE, "/", 200),
        get("/leaderboard", ANYONE, "/leaderboard", 200),
        get("/players/{id}", ANYONE, NOBODY, 404),
        get("/live", ANYONE, "/live", 200),
        get("/live/{id}", ANYONE, "/live/none", 303),
        get("/live/{id}/stream", ANYONE, "/live/none/stream", 404),
        get("/maps/{map:.+}/heatmap.png", ANYONE, "/maps/dm/none/heatmap.png", 404),
        get("/maps/{map:.+}/overview.png", ANYONE, "/maps/dm/none/overview.png", 404),
        get("/matches/{id}/heatmap.png", ANYONE, "/matches/none/heatmap.png", 404),
        get("/matches/{id}/card.png", ANYONE, "/matches/none/card.png", 404),
        get("/players/{id}/card.png", ANYONE, "/players/nobody-at-all/card.png", 404),
        get(
            "/tournaments/{id}/card.png",
            ANYONE,
            "/tournaments/00000000-0000-0000-0000-000000000000/card.png",
            404,
        ),
        get("/matches", ANYONE, "/matches", 200),
        get("/matches/{id}", ANYONE, "/matches/none", 404),
        get("/login", ANYONE, "/login?unknown=1", 422),
        get("/device", PLAYER, "/device", 200),
        form("/device", PLAYER),
        get("/account", PLAYER, "/account", 200),
        form("/account/sign-ins/unlink", PLAYER),
        form("/account/game-token", PLAYER),
        form("/account/claim", PLAYER),
        form("/account/players/unlink", PLAYER),
        form("/account/sessions/end", PLAYER),
        form("/account/sign-out", PLAYER),
        form("/account/sign-out-everywhere", PLAYER),
        form("/account/delete", PLAYER),
        get("/admin", ADMIN, "/admin", 200),
        get("/admin/servers", ORGANIZER, "/admin/servers", 200),
        form("/admin/servers", ORGANIZER),
        form("/admin/servers/keys", ORGANIZER),
        at(NO_SERVER_PAGE_APPROVE, form("/admin/servers/{id}/approve", ADMIN)),
        at(NO_SERVER_PAGE_ROTATE, form("/admin/servers/{id}/rotate", ORGANIZER)),
        at(NO_SERVER_PAGE_OWNER, form("/admin/servers/{id}/owner", ADMIN)),
        at(NO_SERVER_PAGE_REMOVE, form("/admin/servers/{id}/remove", ORGANIZER)),
        get("/admin/users", ADMIN, "/admin/users", 200),
        at("/admin/users/7", form("/admin/users/{id}", ADMIN)),
        get("/admin/players", ADMIN, "/admin/players", 200),
        form("/admin/players/merge", ADMIN),
        form("/admin/players/undo-merge", ADMIN),
        form("/admin/players/anonymise", ADMIN),
        get("/admin/maps", ADMIN, "/admin/maps", 200),
        form("/admin/maps", ADMIN),
        form("/admin/maps/remove", ADMIN),
        get("/admin/audit", ADMIN, "/admin/audit", 200),
        get("/ops", ADMIN, "/ops", 200),
        get("/ops/runbook", ADMIN, "/ops/runbook", 200),
        get("/ops/stream", ADMIN, "/ops/stream?nothing=1", 422),
        at("/ops/writers/99/pause", form("/ops/writers/{writer}/pause", ADMIN)),
        at("/ops/writers/99/resume", form("/ops/writers/{writer}/resume", ADMIN)),
        form("/ops/flush", ADMIN),
        at("/ops/nodes/00000000-0000-0000-0000-000000000000/drain", form("/ops/nodes/{node}/drain", ADMIN)),
        at(
            "/ops/nodes/00000000-0000-0000-0000-000000000000/take-back",
            form("/ops/nodes/{node}/take-back", ADMIN),
        ),
        at(
            "/ops/matches/00000000-0000-0000-0000-000000000000/end",
            form("/ops/matches/{match_id}/end", ADMIN),
        ),
        at("/ops/dead-letters/none/replay", form("/ops/dead-letters/{id}/replay", ADMIN)),
        get("/api/docs", ANYONE, "/api/docs", 200),
        get("/api/openapi.json", ANYONE, "/api/openapi.json", 200),
        get("/login/link/{code}", ANYONE, "/login/link/none", 410),
        get("/api/v1/stats/maps", ANYONE, "/api/v1/stats/maps", 200),
        get("/api/v1/stats/maps/{map:.+}", ANYONE, "/api/v1/stats/maps/dm/none", 404),
        get("/api/v1/stats/weapons", ANYONE, "/api/v1/stats/weapons", 200),
        get("/api/v1/stats/weapons/{slug}", ANYONE, "/api/v1/stats/weapons/none", 404),
        get("/api/v1/stats/server/{serverId}", ANYONE, "/api/v1/stats/server/none", 404),
        get("/api/v1/search", ANYONE, "/api/v1/search", 422),
        get("/api/v1/stats/player/name/{name:.+}", ANYONE, "/api/v1/stats/player/name/nobody", 404),
        get("/api/v1/stats/member/{id}", ANYONE, "/api/v1/stats/member/4711", 404),
        get("/maps", ANYONE, "/maps", 200),
        get("/maps/{map:.+}", ANYONE, "/maps/dm/none", 404),
        get("/weapons", ANYONE, "/weapons", 200),
        get("/weapons/{slug}", ANYONE, "/weapons/none", 404),
        get("/servers", ANYONE, "/servers", 200),
        get("/servers/{id}", ANYONE, "/servers/none", 404),
        get("/search", ANYONE, "/search", 200),
        at("/login/link/none", form("/login/link/{code}", ANYONE)),
        get("/tournaments", ANYONE, "/tournaments", 200),
        form("/tournaments", ORGANIZER),
        get("/tournaments/new", ORGANIZER, "/tournaments/new", 200),
        get("/tournaments/{id}", ANYONE, "/tournaments/00000000-0000-0000-0000-000000000000", 404),
        get(
            "/tournaments/{id}/participants",
            ANYONE,
            "/tournaments/00000000-0000-0000-0000-000000000000/participants",
            404,
        ),
        get(
            "/tournaments/{id}/bracket",
            ANYONE,
            "/tournaments/00000000-0000-0000-0000-000000000000/bracket",
            404,
        ),
        get(
            "/tournaments/{id}/bracket.svg",
            ANYONE,
            "/tournaments/00000000-0000-0000-0000-000000000000/bracket.svg",
            404,
        ),
        get(
            "/tournaments/{id}/standings",
            ANYONE,
            "/tournaments/00000000-0000-0000-0000-000000000000/standings",
            404,
        ),
        get(
            "/tournaments/{id}/schedule",
            ANYONE,
            "/tournaments/00000000-0000-0000-0000-000000000000/schedule",
            404,
        ),
        get(
            "/tournaments/{id}/stream",
            ANYONE,
            "/tournaments/00000000-0000-0000-0000-000000000000/stream",
            404,
        ),
        get(
            "/tournaments/{id}/matches/{key}",
            ANYONE,
            "/tournaments/00000000-0000-0000-0000-000000000000/matches/R1.1",
            404,
        ),
        get(
            "/tournaments/{id}/matches/{key}/correct",
            PLAYER,
            "/tournaments/00000000-0000-0000-0000-000000000000/matches/R1.1/correct",
            404,
        ),
        get(
            "/tournaments/{id}/admin",
            PLAYER,
            "/tournaments/00000000-0000-0000-0000-000000000000/admin",
            404,
        ),
        get(
            "/tournaments/{id}/admin/settings",
            PLAYER,
            "/tournaments/00000000-0000-0000-0000-000000000000/admin/settings",
            404,
        ),
        get(
            "/tournaments/{id}/admin/audit",
            PLAYER,
            "/tournaments/00000000-0000-0000-0000-000000000000/admin/audit",
            404,
        ),
        at(
            "/tournaments/00000000-0000-0000-0000-000000000000/register",
            form("/tournaments/{id}/register", PLAYER),
        ),
        at(
            "/tournaments/00000000-0000-0000-0000-000000000000/withdraw",
            form("/tournaments/{id}/withdraw", PLAYER),
        ),
        at(
            "/tournaments/00000000-0000-0000-0000-000000000000/checkin",
            form("/tournaments/{id}/checkin", PLAYER),
        ),
        at(
            "/tournaments/00000000-0000-0000-0000-000000000000/matches/R1.1/correct",
            form("/tournaments/{id}/matches/{key}/correct", PLAYER),
        ),
        at(
            "/tournaments/00000000-0000-0000-0000-000000000000/matches/R1.1/report",
            form("/tournaments/{id}/matches/{key}/report", PLAYER),
        ),
        at(
            "/tournaments/00000000-0000-0000-0000-000000000000/matches/R1.1/confirm",
            form("/tournaments/{id}/matches/{key}/confirm", PLAYER),
        ),
        at(
            "/tournaments/00000000-0000-0000-0000-000000000000/matches/R1.1/dispute",
            form("/tournaments/{id}/matches/{key}/dispute", PLAYER),
        ),
        at(
            "/tournaments/00000000-0000-0000-0000-000000000000/matches/R1.1/resolve",
            form("/tournaments/{id}/matches/{key}/resolve", PLAYER),
        ),
        at(
            "/tournaments/00000000-0000-0000-0000-000000000000/matches/R1.1/reset",
            form("/tournaments/{id}/matches/{key}/reset", PLAYER),
        ),
        at(
            "/tournaments/00000000-0000-0000-0000-000000000000/matches/R1.1/schedule",
            form("/tournaments/{id}/matches/{key}/schedule", PLAYER),
        ),
        at(
            "/tournaments/00000000-0000-0000-0000-000000000000/matches/R1.1/start",
            form("/tournaments/{id}/matches/{key}/start", PLAYER),
        ),
        at(
            "/tournaments/00000000-0000-0000-0000-000000000000/matches/R1.1/veto",
            form("/tournaments/{id}/matches/{key}/veto", PLAYER),
        ),
        at(
            "/tournaments/00000000-0000-0000-0000-000000000000/admin/settings",
            form("/tournaments/{id}/admin/settings", PLAYER),
        ),
        at(
            "/tournaments/00000000-0000-0000-0000-000000000000/admin/status",
            form("/tournaments/{id}/admin/status", PLAYER),
        ),
        at(
            "/tournaments/00000000-0000-0000-0000-000000000000/admin/enter",
            form("/tournaments/{id}/admin/enter", PLAYER),
        ),
        at(
            "/tournaments/00000000-0000-0000-0000-000000000000/admin/seeds",
            form("/tournaments/{id}/admin/seeds", PLAYER),
        ),
        at(
            "/tournaments/00000000-0000-0000-0000-000000000000/admin/disqualify",
            form("/tournaments/{id}/admin/disqualify", PLAYER),
        ),
        at(
            "/tournaments/00000000-0000-0000-0000-000000000000/admin/staff",
            form("/tournaments/{id}/admin/staff", PLAYER),
        ),
        at(
            "/tournaments/00000000-0000-0000-0000-000000000000/admin/next-round",
            form("/tournaments/{id}/admin/next-round", PLAYER),
        ),
        at(
            "/tournaments/00000000-0000-0000-0000-000000000000/admin/undo",
            form("/tournaments/{id}/admin/undo", PLAYER),
        ),
        get(
            "/embed/tournaments/{id}",
            ANYONE,
            "/embed/tournaments/00000000-0000-0000-0000-000000000000",
            404,
        ),
        get(
            "/embed/tournaments/{id}/overlay",
            ANYONE,
            "/embed/tournaments/00000000-0000-0000-0000-000000000000/overlay",
            404,
        ),
        get(
            "/embed/tournaments/{id}/bracket.svg",
            ANYONE,
            "/embed/tournaments/00000000-0000-0000-0000-000000000000/bracket.svg",
            404,
        ),
    ]
}

/// Routes whose one call changes who the caller is; tests of their own go through them with every caller.
const APART: [(&str, &str); 3] = [
    ("POST", "/api/v1/auth/logout"),
    ("POST", "/api/v1/auth/logout-everywhere"),
    ("DELETE", "/api/v1/users/me"),
];

/// Routes whose answer does not end.
const STREAMS: [(&str, &str); 2] = [("GET", "/api/v1/live"), ("GET", "/live/stream")];

#[test]
fn every_route_states_whom_it_is_open_to_and_is_in_the_table_of_the_tests() {
    let stated: BTreeMap<(String, &str), Access> = routes::all()
        .into_iter()
        .map(|route| ((route.method.to_string(), route.path), route.access))
        .collect();
    let expected: BTreeMap<(String, &str), Access> =
        table().into_iter().map(|case| ((case.method.to_owned(), case.path), case.access)).collect();
    for (route, access) in &stated {
        let name = (route.0.as_str(), route.1);
        let is_apart = APART.contains(&name) || STREAMS.contains(&name);
        match expected.get(route) {
            Some(known) => assert_eq!(known, access, "{route:?}"),
            None => assert!(is_apart, "{route:?} is not in the table"),
        }
    }
    for route in expected.keys() {
        assert!(stated.contains_key(route), "there is no {route:?} any more");
    }
}

/// Who calls, by which header.
struct Caller {
    name: &'static str,
    header: Option<(&'static str, String)>,
}

impl Caller {
    fn user(name: &'static str, token: &str) -> Self {
        Self { name, header: Some(("Authorization", format!("Bearer {token}"))) }
    }

    /// The answer to this caller.
    fn expected(&self, case: &Case) -> u16 {
        match (case.access, self.name) {
            (Access::Anyone, _) | (Access::GameServer, "server") => case.answer,
            (Access::GameServer, _) => 401,
            (Access::Role(_), "nobody" | "expired" | "revoked" | "server" | "forged") => 401,
            (Access::Role(_), "banned") => 403,
            (Access::Role(Role::Player), _) => case.answer,
            (Access::Role(Role::Organizer), "organizer" | "admin") => case.answer,
            (Access::Role(Role::Admin), "admin") => case.answer,
            (Access::Role(_), _) => 403,
        }
    }

    async fn send(&self, service: &Service, case: &Case) -> Reply {
        let mut headers: Vec<(&str, &str)> =
            self.header.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let is_form = !case.path.starts_with("/api/");
        match case.body {
            Some(_) if is_form => headers.push(("Content-Type", "application/x-www-form-urlencoded")),
            Some(_) => headers.push(("Content-Type", "application/json")),
            None => {}
        }
        service.client.call(case.method, case.url, &headers, case.body.unwrap_or_default()).await
    }
}

/// A token like this one, with other times.
fn expired(token: &str) -> String {
    let tokens = AccessTokens::new(&Secret::new(JWT_SECRET), None);
    let mut claims = tokens.verify(token).unwrap();
    (claims.iat, claims.nbf, claims.exp) = (claims.iat - 2_000, claims.nbf - 2_000, claims.exp - 2_000);
    let header = jsonwebtoken::decode_header(token).unwrap();
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(JWT_SECRET.as_bytes())).unwrap()
}

/// A token that makes its user an admin, signed by somebody else.
fn forged(token: &str) -> String {
    let tokens = AccessTokens::new(&Secret::new(JWT_SECRET), None);
    let mut claims = tokens.verify(token).unwrap();
    claims.role = Role::Admin;
    let header = Header { alg: Algorithm::HS256, ..jsonwebtoken::decode_header(token).unwrap() };
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(b"another secret of thirty-two bytes!"))
        .unwrap()
}

#[actix_web::test]
async fn every_route_answers_every_caller_as_the_table_says() {
    let service = Service::start("access").await;
    let (_, player) = service.add_user("Player", Role::Player).await;
    let (_, organizer) = service.add_user("Organizer", Role::Organizer).await;
    let (admin_id, admin) = service.add_user("Admin", Role::Admin).await;
    let (banned_id, banned) = service.add_user("Banned", Role::Admin).await;
    let ban = format!("/api/v1/admin/users/{banned_id}/ban");
    assert_eq!(service.client.call_as(&admin, "POST", &ban, serde_json::json!({})).await.status, 204);
    let (_, revoked) = service.add_user("Revoked", Role::Admin).await;
    let reply = service.client.call_as(&revoked, "POST", "/api/v1/auth/logout", serde_json::json!({})).await;
    assert_eq!(reply.status, 204);
    assert_ne!(admin_id, banned_id);
    let callers = [
        Caller { name: "nobody", header: None },
        Caller { name: "server", header: Some(("X-Server-Token", service.client.token.clone())) },
        Caller::user("player", &player),
        Caller::user("organizer", &organizer),
        Caller::user("admin", &admin),
        Caller::user("banned", &banned),
        Caller::user("expired", &expired(&admin)),
        Caller::user("revoked", &revoked),
        Caller::user("forged", &forged(&player)),
    ];
    eventually("statistics can be read", async || {
        (service.client.get("/api/v1/stats/totals").await.status == 200).then_some(())
    })
    .await;
    // Tables come one after the other; writers wait for the last one.
    drop(service.application.pipeline.gate.read().await);
    let mut wrong = Vec::new();
    for case in table() {
        for caller in &callers {
            let reply = caller.send(&service, &case).await;
            let status = reply.status.as_u16();
            // A person who opens a page is led to where they can sign in.
            let is_page = case.method == "GET" && !case.path.starts_with("/api/");
            let expected = match caller.expected(&case) {
                401 if is_page => 303,
                expected => expected,
            };
            if status != expected {
                wrong.push(format!(
                    "{} {} as {}: {status}, not {expected}: {}",
                    case.method,
                    case.url,
                    caller.name,
                    reply.text.chars().take(120).collect::<String>()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    service.stop().await;
}

#[actix_web::test]
async fn signing_out_and_leaving_are_for_those_who_are_signed_in() {
    let service = Service::start("leaving").await;
    for (method, path) in APART {
        service.client.call(method, path, &[], "").await.assert_refused(401, "not_signed_in");
        let server = [("X-Server-Token", service.client.token.as_str())];
        service.client.call(method, path, &server, "").await.assert_refused(401, "not_signed_in");
        for role in [Role::Player, Role::Organizer] {
            let (_, token) = service.add_user("Leaving", role).await;
            let reply = service.client.call_as(&token, method, path, serde_json::json!({})).await;
            assert_eq!(reply.status, 204, "{path}: {}", reply.text);
            service.client.get_as(&token, "/api/v1/users/me").await.assert_refused(401, "token_revoked");
        }
    }
    service.stop().await;
}

#[actix_web::test]
async fn streams_are_for_everybody() {
    let service = Service::start("open_streams").await;
    let (_, token) = service.add_user("Player", Role::Player).await;
    let client = mohaa_stats::simulate::courier::client().unwrap();
    for (method, path) in STREAMS {
        let method: reqwest::Method = method.parse().unwrap();
        for bearer in ["", "nonsense", &token, &forged(&token)] {
            let request = client.request(method.clone(), format!("{}{path}", service.client.url));
            let answer = request.header("Authorization", format!("Bearer {bearer}")).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
        }
    }
    service.stop().await;
}

#[actix_web::test]
async fn nobody_reaches_what_belongs_to_somebody_else() {
    let service = Service::start("tenants").await;
    let (owner, owners_session) = service.add_session("Owner", Role::Player).await;
    service.link_player(owner, "4711").await;
    for role in [Role::Player, Role::Organizer, Role::Admin] {
        let (_, stranger) = service.add_user("Stranger", role).await;
        let session = format!("/api/v1/users/me/sessions/{}", owners_session.session_id);
        let reply = service.client.call_as(&stranger, "DELETE", &session, serde_json::json!(null)).await;
        reply.assert_refused(404, "unknown_session");
        let player = "/api/v1/users/me/players/4711";
        let reply = service.client.call_as(&stranger, "DELETE", player, serde_json::json!(null)).await;
        reply.assert_refused(404, "unknown_player");
    }
    let me = service.client.get_as(&owners_session.access_token, "/api/v1/users/me").await.json();
    assert_eq!(me["player_ids"], serde_json::json!(["4711"]));
    service.stop().await;
}
