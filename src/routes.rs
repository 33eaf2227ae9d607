//! Every call that the service answers, in the order in which they are looked for.

use crate::access::Route;
use crate::{
    achievements, admin, auth, ingest, live, ops, overviews, pages, players, servers, sign_in, stats, teams,
    tournaments, users, webhooks,
};

/// What game servers call.
pub fn of_game_servers() -> Vec<Route> {
    let mut routes = ingest::routes();
    routes.extend(servers::of_game_servers());
    routes
}

/// What people, their browsers and programs call; and operators, where they have no address of their own.
pub fn of_people(metrics_are_elsewhere: bool) -> Vec<Route> {
    let mut routes = ops::handlers::probes();
    if !metrics_are_elsewhere {
        routes.extend(ops::handlers::metrics_routes());
    }
    routes.extend(ops::actors::routes());
    routes.extend(ops::actions::routes());
    routes.extend(stats::routes());
    routes.extend(achievements::routes());
    routes.extend(live::routes());
    routes.extend(auth::routes());
    routes.extend(sign_in::routes());
    routes.extend(users::routes());
    routes.extend(players::routes());
    routes.extend(servers::routes());
    routes.extend(teams::routes());
    routes.extend(webhooks::routes());
    routes.extend(admin::routes());
    routes.extend(overviews::routes());
    routes.extend(tournaments::routes());
    routes.extend(pages::routes());
    routes
}

/// What is answered on the operators' own address (OPS_LISTEN).
pub fn of_operators() -> Vec<Route> {
    let mut routes = ops::handlers::probes();
    routes.extend(ops::handlers::metrics_routes());
    routes
}

/// All of them.
pub fn all() -> Vec<Route> {
    let mut routes = of_game_servers();
    routes.extend(of_people(false));
    routes
}
