//! Heatmaps as pictures: a grid of counts from [`crate::stats`] becomes a PNG with title, legend and scale.
//!
//! Pure: nothing here asks a store, and [`crate::pictures`] keeps what was drawn.

mod density;
mod frame;
mod lettering;
mod picture;
mod ramp;

pub use frame::Frame;
pub use picture::{Backdrop, Captions, Picture, picture_size};
pub use ramp::RAMP;

/// Narrowest and widest picture, in pixels.
pub const WIDTHS: std::ops::RangeInclusive<u32> = 256..=1600;
pub const DEFAULT_WIDTH: u32 = 800;
