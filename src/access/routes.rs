//! Routes as values, so that they can be listed.

use std::sync::Arc;

use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, Handler, Responder, ResponseError as _};

use super::{Access, StatesAccess};
use crate::http::ApiError;

/// A method and a path that a handler answers to.
#[derive(Clone)]
pub struct Route {
    pub method: Method,
    /// As the framework writes it: `/players/{id}`.
    pub path: &'static str,
    pub access: Access,
    handler: Arc<dyn Fn() -> actix_web::Route + Send + Sync>,
}

impl Route {
    fn new<F, Args>(method: Method, path: &'static str, handler: F) -> Self
    where
        F: Handler<Args> + Send + Sync,
        Args: FromRequest + StatesAccess + 'static,
        F::Output: Responder + 'static,
    {
        let route_method = method.clone();
        Self {
            method,
            path,
            access: Args::ACCESS,
            handler: Arc::new(move || web::method(route_method.clone()).to(handler.clone())),
        }
    }
}

/// Answers to HEAD as well.
pub fn get<F, Args>(path: &'static str, handler: F) -> Route
where
    F: Handler<Args> + Send + Sync,
    Args: FromRequest + StatesAccess + 'static,
    F::Output: Responder + 'static,
{
    Route::new(Method::GET, path, handler)
}

pub fn post<F, Args>(path: &'static str, handler: F) -> Route
where
    F: Handler<Args> + Send + Sync,
    Args: FromRequest + StatesAccess + 'static,
    F::Output: Responder + 'static,
{
    Route::new(Method::POST, path, handler)
}

pub fn put<F, Args>(path: &'static str, handler: F) -> Route
where
    F: Handler<Args> + Send + Sync,
    Args: FromRequest + StatesAccess + 'static,
    F::Output: Responder + 'static,
{
    Route::new(Method::PUT, path, handler)
}

pub fn delete<F, Args>(path: &'static str, handler: F) -> Route
where
    F: Handler<Args> + Send + Sync,
    Args: FromRequest + StatesAccess + 'static,
    F::Output: Responder + 'static,
{
    Route::new(Method::DELETE, path, handler)
}

/// Serves the routes, in their order; a path answers methods that it doesn't know with 405 and `Allow`.
pub fn mount(service: &mut ServiceConfig, routes: &[Route]) {
    let mut rest: Vec<&Route> = routes.iter().collect();
    while let Some(path) = rest.first().map(|route| route.path) {
        let (of_path, others): (Vec<_>, Vec<_>) = rest.into_iter().partition(|route| route.path == path);
        rest = others;
        let mut resource = web::resource(path);
        let mut allowed = Vec::new();
        for route in of_path {
            resource = resource.route((route.handler)());
            allowed.push(route.method.as_str());
            if route.method == Method::GET {
                allowed.push("HEAD");
            }
        }
        let allowed = HeaderValue::from_str(&allowed.join(", ")).unwrap_or(HeaderValue::from_static(""));
        service.service(resource.default_service(web::to(move || {
            let mut response = ApiError::from_status(StatusCode::METHOD_NOT_ALLOWED).error_response();
            response.headers_mut().insert(ALLOW, allowed.clone());
            std::future::ready(response)
        })));
    }
}
