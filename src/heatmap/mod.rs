//! Heatmaps as pictures: a grid of counts from [`crate::stats`] becomes a PNG with title, legend and scale.
//!
//! Pure but for [`Pictures`], which draws off the HTTP workers and keeps what it drew. Nothing here asks a store.

mod canvas;
mod density;
mod frame;
mod lettering;
mod picture;
mod ramp;

pub use frame::Frame;
pub use picture::{Backdrop, Captions, Picture, picture_size};
pub use ramp::RAMP;

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, Bytes};
use moka::future::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::{AcquireError, Semaphore};

/// Narrowest and widest picture, in pixels.
pub const WIDTHS: std::ops::RangeInclusive<u32> = 256..=1600;
pub const DEFAULT_WIDTH: u32 = 800;

/// Pictures in memory, all together.
const MOST_BYTES: u64 = 32 << 20;
/// A picture is found by what is drawn, so it never gets wrong; one that nobody asks for makes room.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// Pictures that are drawn at once: each takes some 40 MB and a core, and anybody may ask for a new one.
const MOST_AT_ONCE: usize = 2;

#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    #[error("the overview can't be decoded")]
    Overview(#[source] image::ImageError),
    #[error("the picture can't be encoded")]
    Encode(#[source] image::ImageError),
    #[error("drawing ended without a picture")]
    Lost(#[from] actix_web::error::BlockingError),
    #[error("nothing is drawn any more")]
    Closed(#[from] AcquireError),
}

/// Draws pictures and keeps them. Clones are one memory.
#[derive(Clone)]
pub struct Pictures {
    drawn: Cache<[u8; 32], Bytes>,
    turns: Arc<Semaphore>,
}

impl Default for Pictures {
    fn default() -> Self {
        let drawn = Cache::builder()
            .max_capacity(MOST_BYTES)
            .weigher(|_, png: &Bytes| u32::try_from(png.len()).unwrap_or(u32::MAX))
            .time_to_idle(KEPT_FOR)
            .build();
        Self { drawn, turns: Arc::new(Semaphore::new(MOST_AT_ONCE)) }
    }
}

impl Pictures {
    /// The picture as a PNG, from memory or drawn anew: once, however many ask for it at the same time.
    pub async fn png(&self, picture: Picture) -> Result<Bytes, Arc<PictureError>> {
        let key = Sha256::digest(picture.identity()).into();
        let draw = async {
            let _turn = self.turns.acquire().await?;
            Ok(web::block(move || picture.png()).await??.into())
        };
        self.drawn.try_get_with(key, draw).await
    }
}
