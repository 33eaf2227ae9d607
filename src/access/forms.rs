//! Forms of our own pages.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::web::Form;
use actix_web::{FromRequest, HttpRequest};
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use crate::auth::CsrfToken;
use crate::http::ApiError;

/// What a form of our page brought, sent by the browser that had loaded it: its field `csrf` is checked.
#[derive(Debug)]
pub struct SafeForm<T>(pub T);

/// A form that is a button.
#[derive(Debug, serde::Deserialize)]
pub struct NoFields {}

impl<T: DeserializeOwned + 'static> FromRequest for SafeForm<T> {
    type Error = actix_web::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, actix_web::Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let fields = Form::<Vec<(String, String)>>::from_request(&request, payload);
        Box::pin(async move {
            let Form(fields) = fields.await?;
            let token = fields.iter().find(|(name, _)| name == "csrf").map_or("", |(_, value)| value);
            CsrfToken::check(&request, token)?;
            let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
            let content = serde_qs::from_str(&text).map_err(|error| {
                ApiError::bad_request(
                    "bad_request",
                    "the form lacks something, or something in it can't be read",
                )
                .with_source(error)
            })?;
            Ok(Self(content))
        })
    }
}
