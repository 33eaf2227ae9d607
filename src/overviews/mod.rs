//! Overviews: pictures of maps from above with the part of the world that they show. Heatmaps are drawn on them; a map
//! without one gets a neutral grid.
//!
//! Admins upload them. What comes from outside is bounded in bytes and time (`upload`), decoded under limits and encoded
//! anew (`accepted`), so that nothing but pixels is kept. They are in PostgreSQL (`store`), with an entry in the audit log
//! for each change; pictures that were asked for stay in `memory`.

mod accepted;
mod handlers;
mod memory;
mod store;
mod upload;

pub use accepted::{AcceptedImage, ImageRefusal};
pub use handlers::{OverviewsApi, put_uploaded, routes};
pub use memory::{OverviewImages, overview_if_reachable};
pub use store::{
    MapOverview, OverviewError, find_overview, list_overviews, overview_image, put_overview, remove_overview,
};
pub use upload::{SafeUpload, Upload};

use crate::http::ApiError;
use crate::stats::{HeatmapBounds, normal_map_name};

/// The engine's world ends there: `MAX_WORLD_COORD` of id Tech 3.
pub const WORLD_END: i32 = 128 * 1024;
/// A metre and a bit: smaller than any map.
const SMALLEST_WORLD: i32 = 64;
const LONGEST_MAP_NAME_CHARS: usize = 64;

/// A map's name in its stored form.
///
/// # Errors
/// 422 for what can't be one.
pub fn map_name(text: &str) -> Result<String, ApiError> {
    let name = normal_map_name(text);
    let length = name.chars().count();
    let is_plain = |character: char| character.is_alphanumeric() || "/_-.+'() ".contains(character);
    match (1..=LONGEST_MAP_NAME_CHARS).contains(&length) && name.chars().all(is_plain) {
        true => Ok(name),
        false => Err(ApiError::invalid_field(
            "map_name",
            format!(
                "must be a map as the game names it, such as dm/mohdm1, of at most {LONGEST_MAP_NAME_CHARS} characters"
            ),
        )),
    }
}

/// Bounds of a world that can be.
///
/// # Errors
/// 422 that names the side.
pub fn checked_bounds(bounds: HeatmapBounds) -> Result<HeatmapBounds, ApiError> {
    let HeatmapBounds { min_x, min_y, max_x, max_y } = bounds;
    for (name, value) in [("min_x", min_x), ("min_y", min_y), ("max_x", max_x), ("max_y", max_y)] {
        if !(-WORLD_END..=WORLD_END).contains(&value) {
            return Err(ApiError::invalid_field(
                name,
                format!("must lie between -{WORLD_END} and {WORLD_END}"),
            ));
        }
    }
    for (name, min, max) in [("max_x", min_x, max_x), ("max_y", min_y, max_y)] {
        if max - min < SMALLEST_WORLD {
            let why = format!("must be at least {SMALLEST_WORLD} more than its minimum");
            return Err(ApiError::invalid_field(name, why));
        }
    }
    Ok(bounds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_of_a_world_that_can_be() {
        let bounds = |min_x, min_y, max_x, max_y| HeatmapBounds { min_x, min_y, max_x, max_y };
        assert!(checked_bounds(bounds(-4096, -4096, 4096, 4096)).is_ok());
        for wrong in [
            bounds(0, 0, 0, 4096),
            bounds(0, 0, 63, 4096),
            bounds(4096, 0, 0, 4096),
            bounds(0, 4096, 4096, 0),
            bounds(i32::MIN, 0, i32::MAX, 4096),
            bounds(0, 0, WORLD_END + 1, 4096),
        ] {
            assert!(checked_bounds(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn map_names_are_stored_as_the_statistics_write_them() {
        assert_eq!(map_name(" maps/DM/MohDM1.bsp ").ok().as_deref(), Some("dm/mohdm1"));
        let too_long = "x".repeat(65);
        for wrong in ["", "/", "a\0b", "<script>", "a\u{202e}b", too_long.as_str()] {
            assert!(map_name(wrong).is_err(), "{wrong:?}");
        }
    }
}
