//! `POST /api/v1/servers/register`: what a game script calls that has no token.

use crate::access::Anyone;
use crate::http::ApiError;

/// Register a game server by itself.
///
/// Not open on this service: an operator adds the server and sets its token in the script.
#[utoipa::path(
    post,
    path = "/api/v1/servers/register",
    tag = "Ingest",
    request_body(content = String, description = "name, ip_address and port of the server", content_type = "*/*"),
    responses((status = 403, description = "`registration_closed`", body = crate::http::ErrorBody))
)]
pub async fn register_server(_: Anyone) -> Result<String, ApiError> {
    Err(ApiError::forbidden(
        "registration_closed",
        "servers can't register by themselves here: ask the operator to add yours and set its token in the script",
    ))
}
