//! A form with a picture, as browsers and programs send it (`multipart/form-data`): bounded in bytes, fields and time.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_multipart::{Field, Multipart};
use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt as _;
use utoipa::ToSchema;

use super::accepted::MOST_BYTES;
use crate::auth::CsrfToken;
use crate::http::ApiError;
use crate::stats::HeatmapBounds;

/// The name of the field with the picture.
const IMAGE: &str = "image";
const MOST_FIELDS: usize = 12;
const MOST_TEXT_BYTES: usize = 1024;
/// Four megabytes over a slow line; whoever takes longer holds a connection and nothing else.
const PATIENCE: Duration = Duration::from_secs(60);

/// An overview as it is sent.
#[derive(Debug, Default)]
pub struct Upload {
    texts: BTreeMap<String, String>,
    pub image: Vec<u8>,
}

/// An [`Upload`] from a form of our page, whose first field is `csrf`.
#[derive(Debug)]
pub struct SafeUpload(pub Upload);

/// The fields of an upload, for the OpenAPI document.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes a form")]
pub struct UploadForm {
    /// A PNG, JPEG or WebP picture of at most 4 MiB, 64 to 4096 pixels wide and high; north is up.
    #[schema(format = Binary, value_type = String)]
    image: Vec<u8>,
    /// The part of the world that it shows, in map units.
    min_x: i32,
    min_y: i32,
    max_x: i32,
    max_y: i32,
}

impl Upload {
    pub fn text(&self, name: &str) -> &str {
        self.texts.get(name).map_or("", |text| text.trim())
    }

    /// What `min_x` to `max_y` say.
    ///
    /// # Errors
    /// 422 that names the first one that is no whole number.
    pub fn bounds(&self) -> Result<HeatmapBounds, ApiError> {
        let side = |name: &str| {
            let written = self.text(name);
            written.parse().map_err(|_| ApiError::invalid_field(name, "must be a whole number of map units"))
        };
        Ok(HeatmapBounds {
            min_x: side("min_x")?,
            min_y: side("min_y")?,
            max_x: side("max_x")?,
            max_y: side("max_y")?,
        })
    }
}

impl FromRequest for Upload {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (is_form, form) = (is_multipart(request), Multipart::from_request(request, payload));
        Box::pin(async move {
            if !is_form {
                return Err(ApiError::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "unsupported_media_type",
                    "send a form as multipart/form-data",
                ));
            }
            let form = form.await.map_err(|error| unreadable(error.to_string()))?;
            in_time(read(form, |_| Ok(()))).await
        })
    }
}

impl FromRequest for SafeUpload {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let form = Multipart::from_request(&request, payload);
        Box::pin(async move {
            if !is_multipart(&request) {
                // No form of ours, so it has no token either.
                CsrfToken::check(&request, "")?;
            }
            let form = form.await.map_err(|error| unreadable(error.to_string()))?;
            // Before the picture is read.
            let check = |first: Option<&str>| CsrfToken::check(&request, first.unwrap_or_default());
            in_time(read(form, check)).await.map(Self)
        })
    }
}

fn is_multipart(request: &HttpRequest) -> bool {
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type
        .is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("multipart/form-data"))
}

async fn in_time(reading: impl Future<Output = Result<Upload, ApiError>>) -> Result<Upload, ApiError> {
    let too_slow = |_| {
        let message = format!("the picture did not arrive within {} s", PATIENCE.as_secs());
        ApiError::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", message)
    };
    tokio::time::timeout(PATIENCE, reading).await.map_err(too_slow)?
}

/// `check_first` is given the first field where that is `csrf`.
async fn read(
    mut form: Multipart,
    check_first: impl Fn(Option<&str>) -> Result<(), ApiError>,
) -> Result<Upload, ApiError> {
    let mut upload = Upload::default();
    let mut fields = 0;
    while let Some(field) = form.next().await {
        let field = field.map_err(|error| unreadable(error.to_string()))?;
        let name = field.name().unwrap_or_default().to_owned();
        if fields == 0 && name != "csrf" {
            check_first(None)?;
        }
        fields += 1;
        if fields > MOST_FIELDS {
            return Err(ApiError::bad_request("bad_request", "the form has too many fields"));
        }
        if name == IMAGE {
            upload.image = content(field, MOST_BYTES).await?.ok_or_else(too_large)?;
            continue;
        }
        let text = content(field, MOST_TEXT_BYTES).await?.and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.ok_or_else(|| ApiError::invalid_field(&name, "is too long or no text"))?;
        if fields == 1 && name == "csrf" {
            check_first(Some(&text))?;
        }
        upload.texts.insert(name, text);
    }
    if fields == 0 {
        check_first(None)?;
    }
    Ok(upload)
}

/// None where it is more.
async fn content(mut field: Field, most_bytes: usize) -> Result<Option<Vec<u8>>, ApiError> {
    match field.bytes(most_bytes).await {
        Ok(Ok(bytes)) => Ok(Some(bytes.to_vec())),
        Ok(Err(error)) => Err(unreadable(error.to_string())),
        Err(_) => Ok(None),
    }
}

fn too_large() -> ApiError {
    let message = format!("the picture has more than {} MiB", MOST_BYTES >> 20);
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "image_too_large", message)
}

fn unreadable(cause: String) -> ApiError {
    ApiError::bad_request("bad_request", "the form can't be read").with_source(cause)
}
