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

/// The document as the template lists it: operations, and the shapes of what they take and answer.
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
                "bodies": contents(&operation["requestBody"]["content"]),
                "responses": responses(&operation["responses"]),
            }));
        }
    }
    json!({ "operations": operations, "tags": tags, "shapes": shapes(&document["components"]["schemas"]) })
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
    let shown = |(status, response): (&String, &Value)| {
        json!({
            "status": status,
            "description": response["description"],
            // Every refusal is the same.
            "bodies": if status.starts_with('2') { contents(&response["content"]) } else { json!([]) },
        })
    };
    listed.as_object().into_iter().flatten().map(shown).collect()
}

/// In which form something is sent: each media type with its type.
fn contents(listed: &Value) -> Value {
    let shown = |(media_type, content): (&String, &Value)| {
        let of = type_of(&content["schema"]);
        json!({ "media_type": media_type, "type": of })
    };
    listed.as_object().into_iter().flatten().map(shown).collect()
}

fn shapes(listed: &Value) -> Value {
    let shown = |(name, schema): (&String, &Value)| {
        let mut members = Vec::new();
        push_members(schema, listed, &mut members);
        json!({
            "name": name,
            "description": schema["description"],
            "type": if members.is_empty() { type_of(schema) } else { Value::Null },
            "members": members,
        })
    };
    listed.as_object().into_iter().flatten().map(shown).collect()
}

/// The members of a shape, with those of the shapes that it is put together from.
fn push_members(schema: &Value, schemas: &Value, members: &mut Vec<Value>) {
    for part in schema["allOf"].as_array().into_iter().flatten() {
        match part["$ref"].as_str() {
            Some(reference) => push_members(&schemas[name_in(reference)], schemas, members),
            None => push_members(part, schemas, members),
        }
    }
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        members.push(json!({ "name": name, "type": type_of(member), "description": member["description"] }));
    }
}

fn name_in(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or(reference)
}

/// What stands for a type: a list of words and of links to shapes, `{ "text" }` or `{ "shape" }`.
fn type_of(schema: &Value) -> Value {
    let mut words = Vec::new();
    push_type(schema, &mut words);
    words.into()
}

fn push_type(schema: &Value, words: &mut Vec<Value>) {
    let mut text = |text: &str| words.push(json!({ "text": text }));
    if let Some(reference) = schema["$ref"].as_str() {
        words.push(json!({ "shape": name_in(reference) }));
        return;
    }
    for together in ["oneOf", "anyOf", "allOf"] {
        if let Some(parts) = schema[together].as_array() {
            for (number, part) in parts.iter().enumerate() {
                if number > 0 {
                    words.push(json!({ "text": if together == "allOf" { " and " } else { " or " } }));
                }
                push_type(part, words);
            }
            return;
        }
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if let Some(constants) = schema["enum"].as_array() {
        let constants: Vec<String> =
            constants.iter().map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned)).collect();
        return text(&constants.join(" | "));
    }
    let or_null = if kinds.contains(&"null") { " or null" } else { "" };
    match kinds.iter().find(|kind| **kind != "null") {
        Some(&"array") => {
            text("list of ");
            push_type(&schema["items"], words);
            words.push(json!({ "text": or_null }));
        }
        Some(&"object") if schema["additionalProperties"].is_object() => {
            text("map to ");
            push_type(&schema["additionalProperties"], words);
            words.push(json!({ "text": or_null }));
        }
        Some(kind) => match schema["format"].as_str() {
            Some(format) => text(&format!("{kind} ({format}){or_null}")),
            None => text(&format!("{kind}{or_null}")),
        },
        None if or_null.is_empty() => text("anything"),
        None => text("null"),
    }
}
