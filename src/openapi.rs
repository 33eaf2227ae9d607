//! The API's contract as OpenAPI 3.1, put together from the handlers' own types.

use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, Header, Info, RefOr, Required, Response};

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

/// The whole document.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = CommonApi::openapi();
    document.merge(stats::StatsApi::openapi());
    document.merge(stats::MapsApi::openapi());
    document.merge(stats::WeaponsApi::openapi());
    document.merge(stats::ServerStatsApi::openapi());
    document.merge(stats::SearchApi::openapi());
    document.merge(achievements::AchievementsApi::openapi());
    document.merge(live::LiveApi::openapi());
    document.merge(auth::AuthApi::openapi());
    document.merge(sign_in::SignInApi::openapi());
    document.merge(sign_in::OwnSignInsApi::openapi());
    document.merge(users::AccountApi::openapi());
    document.merge(admin::AdminApi::openapi());
    document.merge(overviews::OverviewsApi::openapi());
    document.merge(players::PlayersApi::openapi());
    document.merge(servers::ServersApi::openapi());
    document.merge(tournaments::TournamentsApi::openapi());
    document.merge(teams::TeamsApi::openapi());
    document.merge(teams::TeamInvitesApi::openapi());
    document.merge(webhooks::WebhooksApi::openapi());
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
            document_common_answers(path, operation);
        }
    }
    let areas = [
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
    for (path, shape) in areas.into_iter().flatten() {
        let item = document.paths.paths.get_mut(*path);
        if let Some(operation) = item.and_then(|item| item.get.as_mut()) {
            document_query(operation, shape);
        }
    }
    document
}

/// What every answer of a kind has, and no handler decides.
fn document_common_answers(path: &str, operation: &mut Operation) {
    if path.starts_with("/api/v1/stats/") {
        let unchanged = Response::new("The caller's `If-None-Match` is still the answer's ETag");
        operation.responses.responses.entry("304".to_owned()).or_insert(unchanged.into());
    }
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        if matches!(status.as_str(), "429" | "503") {
            let mut seconds =
                Header::new(ObjectBuilder::new().schema_type(SchemaType::Type(Type::Integer)).build());
            seconds.description = Some("Seconds after which to try again".to_owned());
            response.headers.insert("Retry-After".to_owned(), seconds.into());
        }
    }
}

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
