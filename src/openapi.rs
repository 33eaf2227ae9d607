//! The API's contract as OpenAPI 3.1, put together from the handlers' own types.

use std::collections::BTreeSet;

use serde_json::Value;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Content, Header, Info, Ref, RefOr, Required, Response, ResponseBuilder, Schema};

use crate::auth::SESSION_COOKIE;
use crate::http::query::{FORMAT, Parameter, QueryShape};
use crate::{
    achievements, admin, auth, ingest, live, ops, overviews, players, servers, sign_in, stats, teams,
    tournaments, users, webhooks,
};

/// What is not statistics.
#[derive(OpenApi)]
#[openapi(
    paths(
        ingest::events::ingest_events,
        ingest::results::ingest_result,
        users::me::me,
        ops::handlers::health,
        ops::handlers::ready,
        ops::handlers::metrics,
        ops::actors::list_actors,
    ),
    tags(
        (name = "Ingest", description = "What game servers call."),
        (name = "Users", description = "Who is signed in."),
        (name = "Operations", description = "What operators and balancers call.")
    )
)]
struct CommonApi;

/// What each area documents.
fn areas() -> Vec<utoipa::openapi::OpenApi> {
    vec![
        CommonApi::openapi(),
        ops::actions::OpsActionsApi::openapi(),
        stats::StatsApi::openapi(),
        stats::MapsApi::openapi(),
        stats::WeaponsApi::openapi(),
        stats::ServerStatsApi::openapi(),
        stats::SearchApi::openapi(),
        achievements::AchievementsApi::openapi(),
        live::LiveApi::openapi(),
        auth::AuthApi::openapi(),
        sign_in::SignInApi::openapi(),
        sign_in::OwnSignInsApi::openapi(),
        users::AccountApi::openapi(),
        admin::AdminApi::openapi(),
        overviews::OverviewsApi::openapi(),
        players::PlayersApi::openapi(),
        servers::ServersApi::openapi(),
        tournaments::TournamentsApi::openapi(),
        teams::TeamsApi::openapi(),
        teams::TeamInvitesApi::openapi(),
        webhooks::WebhooksApi::openapi(),
    ]
}

/// The whole document.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = utoipa::openapi::OpenApi::default();
    areas().into_iter().for_each(|area| document.merge(area));
    let mut info = Info::new("mohaa-stats", env!("CARGO_PKG_VERSION"));
    info.description = Some("Telemetry, statistics and tournaments of OpenMOHAA servers.".to_owned());
    document.info = info;
    let schemes = document.components.get_or_insert_default();
    schemes.add_security_scheme(
        "server_token",
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-Server-Token"))),
    );
    schemes.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    schemes.add_security_scheme(
        "session",
        SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(SESSION_COOKIE))),
    );
    for (path, item) in &mut document.paths.paths {
        for operation in
            [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().flatten()
        {
            document_not_modified(path, operation);
        }
    }
    let shapes = [
        stats::QUERY_SHAPES,
        achievements::QUERY_SHAPES,
        admin::QUERY_SHAPES,
        servers::QUERY_SHAPES,
        players::QUERY_SHAPES,
        users::account::QUERY_SHAPES,
        sign_in::QUERY_SHAPES,
        tournaments::QUERY_SHAPES,
        teams::QUERY_SHAPES,
        webhooks::QUERY_SHAPES,
    ];
    for (path, shape) in shapes.into_iter().flatten() {
        let item = document.paths.paths.get_mut(*path);
        if let Some(operation) = item.and_then(|item| item.get.as_mut()) {
            document_query(operation, shape);
        }
    }
    for (path, item) in &mut document.paths.paths {
        for operation in
            [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().flatten()
        {
            document_common_refusals(path, operation);
        }
    }
    require_what_answers_always_have(&mut document);
    document
}

/// Members that an answer leaves out at times. Every other one is there, and null where nothing is known.
const AT_TIMES: [(&str, &str); 12] = [
    ("ChangedMatch", "match_token"),
    ("CheckResult", "problem"),
    ("Checks", "mqtt"),
    ("ErrorBody", "fields"),
    ("ErrorBody", "participant_id"),
    ("ErrorBody", "version"),
    ("Leaderboard", "map_name"),
    ("Leaderboard", "weapon"),
    ("Leaderboard", "week"),
    ("LiveState", "achievements"),
    ("LiveState", "chat"),
    ("LiveState", "kills"),
];

/// Types say of an optional member only that it may be null. In an answer it never is missing; in a body that somebody sends
/// it may be.
fn require_what_answers_always_have(document: &mut utoipa::openapi::OpenApi) {
    let sent = schemas_of_bodies(document);
    let Some(components) = &mut document.components else { return };
    for (name, schema) in &mut components.schemas {
        if let RefOr::T(schema) = schema
            && !sent.contains(name)
        {
            require_all(name, schema);
        }
    }
}

fn require_all(name: &str, schema: &mut Schema) {
    match schema {
        Schema::Object(object) => {
            let always = |member: &String| !AT_TIMES.contains(&(name, member.as_str()));
            object.required = object.properties.keys().filter(|member| always(member)).cloned().collect();
        }
        Schema::AllOf(parts) => {
            for part in &mut parts.items {
                if let RefOr::T(part) = part {
                    require_all(name, part);
                }
            }
        }
        _ => {}
    }
}

/// Names of the schemas of which bodies that are sent consist.
fn schemas_of_bodies(document: &utoipa::openapi::OpenApi) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let bodies = document.paths.paths.values().flat_map(|item| {
        [&item.get, &item.post, &item.put, &item.delete]
            .into_iter()
            .flatten()
            .filter_map(|it| it.request_body.as_ref())
    });
    let mut unread: Vec<Value> = bodies.filter_map(|body| serde_json::to_value(body).ok()).collect();
    let schemas = document.components.as_ref().map(|components| &components.schemas);
    while let Some(value) = unread.pop() {
        let mut names = Vec::new();
        references(&value, &mut names);
        for name in names {
            if let Some(schema) = schemas.and_then(|schemas| schemas.get(&name))
                && found.insert(name)
            {
                unread.extend(serde_json::to_value(schema).ok());
            }
        }
    }
    found
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            let reference = members.get("$ref").and_then(Value::as_str);
            found.extend(reference.and_then(|it| it.rsplit('/').next()).map(str::to_owned));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

fn document_not_modified(path: &str, operation: &mut Operation) {
    let is_tagged =
        path.starts_with("/api/v1/stats/") || matches!(path, "/api/v1/achievements" | "/api/v1/search");
    if is_tagged {
        let unchanged = Response::new("The caller's `If-None-Match` is still the answer's ETag");
        operation.responses.responses.entry("304".to_owned()).or_insert(unchanged.into());
    }
}

/// What no handler decides, and each may answer all the same.
fn document_common_refusals(path: &str, operation: &mut Operation) {
    if path.starts_with("/api/v1/") {
        for (status, why) in common_refusals(operation) {
            let body = Content::new(Some(Ref::from_schema_name("ErrorBody")));
            let refusal = ResponseBuilder::new().description(why).content("application/json", body).build();
            operation.responses.responses.entry(status.to_owned()).or_insert(refusal.into());
        }
    }
    let is_where_people_sign_in =
        path.starts_with("/api/v1/auth/discord") || path.starts_with("/api/v1/auth/steam");
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if response.description.is_empty() {
            response.description = what_it_means(status).to_owned();
        }
        if is_where_people_sign_in && status.starts_with(['4', '5']) {
            let page = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).build();
            response.content.insert("text/html".to_owned(), Content::new(Some(page)).into());
        }
        if matches!(status.as_str(), "429" | "503") {
            let mut seconds =
                Header::new(ObjectBuilder::new().schema_type(SchemaType::Type(Type::Integer)).build());
            seconds.description = Some("Seconds after which to try again".to_owned());
            response.headers.insert("Retry-After".to_owned(), seconds.into());
        }
    }
}

/// Of an answer about which its handler says nothing more.
fn what_it_means(status: &str) -> &'static str {
    match status {
        "201" => "It is made",
        "202" => "It is accepted",
        "204" => "It is done",
        _ => "What was asked for",
    }
}

fn common_refusals(operation: &Operation) -> Vec<(&'static str, &'static str)> {
    let mut refusals = vec![
        ("429", "Too many requests from this user, server or address"),
        ("503", "A store that it needs can't be asked at the moment"),
    ];
    let is_for_users =
        operation.security.iter().flatten().any(|it| *it == SecurityRequirement::new("session", NO_SCOPES));
    if is_for_users {
        refusals.push(("401", "Not signed in, or the token is expired or revoked"));
        refusals.push(("403", "Banned, not allowed to, or asked by a page of another origin"));
    }
    if operation.request_body.is_some() {
        refusals.push(("400", "The body can't be read: it is broken, or no JSON where it has to be"));
        refusals.push(("413", "The body is too large"));
    }
    let takes_json = match &operation.request_body {
        Some(RefOr::T(body)) => body.content.contains_key("application/json"),
        _ => false,
    };
    if takes_json {
        refusals.push(("415", "The body is no JSON by its Content-Type"));
        refusals.push(("422", "The body can't be used"));
    }
    let takes_a_query = operation
        .parameters
        .iter()
        .flatten()
        .any(|it| matches!(it, RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query));
    if takes_a_query {
        refusals.push(("422", "Parameters that can't be used"));
    }
    refusals
}

/// Roles are no scopes of a token.
const NO_SCOPES: [&str; 0] = [];

/// Lists what a shape takes; the handler refuses everything else.
fn document_query(operation: &mut Operation, shape: &QueryShape) {
    let described =
        shape.documented().into_iter().map(|(name, parameter)| query_parameter(name, parameter).into());
    operation.parameters.get_or_insert_default().extend(described);
    if !shape.parameters.iter().any(|parameter| parameter.name == FORMAT.name) {
        return;
    }
    if let Some(RefOr::T(found)) = operation.responses.responses.get_mut("200") {
        for content_type in ["text/csv", "application/x-ndjson"] {
            let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String)).build();
            found.content.insert(content_type.to_owned(), Content::new(Some(text)).into());
        }
    }
}

fn query_parameter(name: String, parameter: Parameter) -> utoipa::openapi::path::Parameter {
    let is_number = matches!(parameter.name, "page" | "limit");
    let kind = if is_number { Type::Integer } else { Type::String };
    let example = match parameter.example.parse::<u32>() {
        Ok(number) if is_number => serde_json::json!(number),
        _ => serde_json::json!(parameter.example),
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(parameter.description))
        .schema(Some(ObjectBuilder::new().schema_type(SchemaType::Type(kind)).build()))
        .example(Some(example))
        .build()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Of two that are called alike the document keeps one, and says of the other's answers what is not so.
    #[test]
    fn no_two_areas_call_different_shapes_alike() {
        let mut known: HashMap<String, Option<Value>> = HashMap::new();
        for area in areas() {
            for (name, schema) in area.components.map(|it| it.schemas).unwrap_or_default() {
                let schema = serde_json::to_value(schema).ok();
                assert!(schema.is_some(), "{name}");
                let before = known.entry(name.clone()).or_insert_with(|| schema.clone());
                assert_eq!(*before, schema, "{name}");
            }
        }
        assert!(known.len() > 150, "{}", known.len());
    }
}
