//! What every HTTP answer of the service has in common: the shape of errors, request ids, the log line, metrics,
//! security headers, conditional answers, query parameters and static files. Knows no area of the service.
//!
//! An application wraps itself in this order, the last one outermost:
//!
//! ```text
//! App::new()
//!     .configure(http::configure_extractors)
//!     .wrap(from_fn(security::headers))
//!     .wrap(Compress::default())
//!     .wrap(from_fn(error_answers::shape))
//!     .wrap(http_metrics.clone())
//!     .wrap(from_fn(requests::trace))
//!     .wrap(NormalizePath::new(TrailingSlash::MergeOnly))
//! ```
//!
//! so that the log line and the metrics see what was sent, and whoever has a slash too many in an address finds what is meant. A handler's error is compressed before it is shaped: the body
//! that takes its place goes out as it is.

pub mod assets;
mod base_url;
pub mod caching;
pub mod client_address;
mod error;
pub mod error_answers;
mod extractors;
mod idempotency;
pub mod metrics;
pub mod outgoing;
mod packed;
pub mod query;
pub mod requests;
pub mod security;
pub mod table;

pub use base_url::BaseUrl;
pub use error::{ApiError, ErrorBody};
pub use extractors::{JsonBody, LooseText, configure_extractors, from_json, json_or_form, said};
pub use idempotency::{Once, idempotency_key};
