//! Pages as they were made, kept by what they were made of: whoever asks for one while nothing has changed gets the same bytes, and the
//! same tag. Making a page costs up to some tens of milliseconds, finding it again one.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::EntityTag;
use actix_web::web::Bytes;
use moka::future::Cache;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::http::ApiError;
use crate::http::caching;

const MAX_BYTES: u64 = 32 << 20;
/// Beside a page's own bytes.
const BYTES_OF_AN_ENTRY: usize = 256;
/// Ages on a page ("5 min ago") are of the moment at which it was made.
const LONGEST_LIFE: Duration = Duration::from_secs(5);

/// Everything that decides how a page looks, but the time.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Ingredients([u8; 32]);

impl Ingredients {
    /// # Errors
    /// When one of them can't be written as JSON.
    pub(super) fn of(parts: &impl Serialize) -> Result<Self, ApiError> {
        let parts = serde_json::to_vec(parts).map_err(ApiError::internal)?;
        Ok(Self(Sha256::digest(parts).into()))
    }
}

pub(super) struct FinishedPage {
    pub(super) body: Bytes,
    pub(super) tag: EntityTag,
}

impl From<String> for FinishedPage {
    fn from(body: String) -> Self {
        Self { tag: caching::tag_of(body.as_bytes()), body: Bytes::from(body) }
    }
}

#[derive(Clone)]
pub(super) struct FinishedPages(Cache<Ingredients, Arc<FinishedPage>>);

impl Default for FinishedPages {
    fn default() -> Self {
        let weight = |_: &Ingredients, page: &Arc<FinishedPage>| {
            u32::try_from(page.body.len() + BYTES_OF_AN_ENTRY).unwrap_or(u32::MAX)
        };
        let pages =
            Cache::builder().max_capacity(MAX_BYTES).weigher(weight).time_to_live(LONGEST_LIFE).build();
        Self(pages)
    }
}

impl FinishedPages {
    /// The page of these ingredients, from memory or by `make`.
    ///
    /// # Errors
    /// Those of `make`, which are not kept.
    pub(super) async fn get(
        &self,
        ingredients: Ingredients,
        make: impl FnOnce() -> Result<String, ApiError>,
    ) -> Result<Arc<FinishedPage>, ApiError> {
        if let Some(page) = self.0.get(&ingredients).await {
            return Ok(page);
        }
        let page = Arc::new(FinishedPage::from(make()?));
        self.0.insert(ingredients, page.clone()).await;
        Ok(page)
    }
}
