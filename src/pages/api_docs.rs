//! The API's documentation: the OpenAPI document, and the same as a page that needs nothing from outside.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::Pages;
use crate::access::Anyone;
use crate::http::{ApiError, caching};
use crate::openapi;

/// The document changes with the binary only.
const DOCUMENT_LIFETIME: &str = "public, max-age=60";
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

pub(super) async fn document(_: Anyone, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let body = serde_json::to_vec(&openapi::document()).map_err(ApiError::internal)?;
    Ok(caching::conditional(&request, body, "application/json", DOCUMENT_LIFETIME))
}

pub(super) async fn page(
    viewer: Anyone,
    request: HttpRequest,
    pages: Data<Pages>,
) -> Result<HttpResponse, ApiError> {
    let document = serde_json::to_value(openapi::document()).map_err(ApiError::internal)?;
    pages.page(&request, viewer, "docs.html", "HTTP API", &view(&document)).await
}

/// The document as the template lists it.
fn view(document: &Value) -> Value {
    let mut operations = Vec::new();
    let mut tags: Vec<String> = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for method in METHODS {
            let Some(operation) = item.get(method) else { continue };
            let tag = operation["tags"][0].as_str().unwrap_or("Other").to_owned();
            if !tags.contains(&tag) {
                tags.push(tag.clone());
            }
            operations.push(json!({
                "method": method,
                "path": path,
                "summary": operation["summary"],
                "description": operation["description"],
                "tag": tag,
                "parameters": parameters(&operation["parameters"]),
                "responses": responses(&operation["responses"]),
            }));
        }
    }
    json!({ "operations": operations, "tags": tags })
}

fn parameters(listed: &Value) -> Value {
    let shown = |parameter: &Value| {
        json!({
            "name": parameter["name"],
            "in": parameter["in"],
            "required": parameter["required"].as_bool().unwrap_or(false),
            "description": parameter["description"],
            "schema": parameter["schema"]["type"].as_str().unwrap_or("string"),
        })
    };
    listed.as_array().into_iter().flatten().map(shown).collect()
}

fn responses(listed: &Value) -> Value {
    let shown = |(status, response): (&String, &Value)| json!({ "status": status, "description": response["description"] });
    listed.as_object().into_iter().flatten().map(shown).collect()
}
