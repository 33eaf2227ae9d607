//! Pictures that the service draws: PNGs, drawn off the HTTP workers and kept for whoever asks for the same.

mod canvas;

pub use canvas::{Canvas, Colour, mixed};

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, Bytes};
use moka::future::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::{AcquireError, Semaphore};

use crate::cards::FaceError;

/// Pictures in memory, all together.
const MOST_BYTES: u64 = 32 << 20;
/// A picture is found by what is drawn, so it never gets wrong; one that nobody asks for makes room.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// Pictures that are drawn at once: each takes some 40 MB and a core, and anybody may ask for a new one.
const MOST_AT_ONCE: usize = 2;

#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    #[error("what lies under the picture can't be decoded")]
    Ground(#[source] image::ImageError),
    #[error("nothing can be written on the picture")]
    Faces(#[source] &'static FaceError),
    #[error("the picture can't be encoded")]
    Encode(#[source] image::ImageError),
    #[error("drawing ended without a picture")]
    Lost(#[from] actix_web::error::BlockingError),
    #[error("nothing is drawn any more")]
    Closed(#[from] AcquireError),
}

/// Something that can be drawn. Equal ones look alike to the last pixel.
pub trait Drawing: Send + 'static {
    /// What tells this picture from others.
    fn identity(&self) -> Vec<u8>;

    /// Draws it.
    ///
    /// # Errors
    /// When what lies under it can't be decoded, or the PNG not be written.
    fn png(&self) -> Result<Vec<u8>, PictureError>;
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
    pub async fn png<D: Drawing>(&self, picture: D) -> Result<Bytes, Arc<PictureError>> {
        let key = Sha256::digest(picture.identity()).into();
        let draw = async {
            let _turn = self.turns.acquire().await?;
            Ok(web::block(move || picture.png()).await??.into())
        };
        self.drawn.try_get_with(key, draw).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    /// A picture of so many bytes that counts how often it is drawn.
    #[derive(Clone)]
    struct Counted {
        number: u8,
        bytes: usize,
        drawn: Arc<AtomicUsize>,
    }

    impl Drawing for Counted {
        fn identity(&self) -> Vec<u8> {
            vec![self.number]
        }

        fn png(&self) -> Result<Vec<u8>, PictureError> {
            self.drawn.fetch_add(1, Ordering::SeqCst);
            Ok(vec![self.number; self.bytes])
        }
    }

    #[actix_web::test]
    async fn equal_pictures_at_once_are_drawn_once() {
        let pictures = Pictures::default();
        let picture = Counted { number: 1, bytes: 10, drawn: Arc::default() };
        let answers = join_all((0..100).map(|_| pictures.png(picture.clone()))).await;
        assert!(answers.into_iter().all(|answer| *answer.unwrap() == [1; 10]));
        assert_eq!(picture.drawn.load(Ordering::SeqCst), 1);
    }

    #[actix_web::test]
    async fn pictures_take_no_more_memory_than_they_may() {
        let pictures = Pictures::default();
        for number in 0..64 {
            pictures.png(Counted { number, bytes: 1 << 20, drawn: Arc::default() }).await.unwrap();
        }
        pictures.drawn.run_pending_tasks().await;
        assert!(pictures.drawn.weighted_size() <= MOST_BYTES, "{}", pictures.drawn.weighted_size());
    }
}
