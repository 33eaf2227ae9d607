//! The colours of density: from nothing (dark) to the most (bright).
//!
//! Matplotlib's *inferno* (Smith and van der Walt, CC0) at eleven even steps. Its lightness rises all the way, so that it
//! reads the same in grey, in print and with every kind of colour blindness.

use crate::pictures::{Colour, mixed};

pub const RAMP: [Colour; 11] = [
    [0x00, 0x00, 0x04],
    [0x16, 0x0b, 0x39],
    [0x42, 0x0a, 0x68],
    [0x6a, 0x17, 0x6e],
    [0x93, 0x26, 0x67],
    [0xbc, 0x37, 0x54],
    [0xdd, 0x51, 0x3a],
    [0xf3, 0x78, 0x19],
    [0xfc, 0xa5, 0x0a],
    [0xf6, 0xd7, 0x46],
    [0xfc, 0xff, 0xa4],
];

/// Where densities that are hardly anything begin: the darkest colours can't be told from the ground.
const FAINTEST: f32 = 0.25;

/// The colour of a share of the highest density, 0 to 1.
pub fn colour(share: f32) -> Colour {
    let steps = (RAMP.len() - 1) as f32;
    let at = share.clamp(0.0, 1.0) * steps;
    let step = (at as usize).min(RAMP.len() - 2);
    mixed(RAMP[step], RAMP[step + 1], at - step as f32)
}

/// Where on the ramp a density stands: by its root, or a single hot corner would leave the rest dark.
pub fn place(density: f32, highest: f32) -> f32 {
    if highest <= 0.0 {
        0.0
    } else {
        FAINTEST + (1.0 - FAINTEST) * (density / highest).clamp(0.0, 1.0).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance (WCAG 2.2) of a colour as the eye gets it through `sight`, in linear light.
    fn luminance(colour: Colour, sight: [[f32; 3]; 3]) -> f32 {
        let linear = colour.map(|channel| {
            let channel = f32::from(channel) / 255.0;
            if channel <= 0.04045 { channel / 12.92 } else { ((channel + 0.055) / 1.055).powf(2.4) }
        });
        let seen =
            sight.map(|row| row.iter().zip(linear).map(|(share, channel)| share * channel).sum::<f32>());
        0.2126 * seen[0] + 0.7152 * seen[1] + 0.0722 * seen[2]
    }

    /// Full dichromacy by Machado, Oliveira and Fernandes (2009).
    const SIGHTS: [(&str, [[f32; 3]; 3]); 4] = [
        ("full", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        (
            "protanopia",
            [
                [0.152_286, 1.052_583, -0.204_868],
                [0.114_503, 0.786_281, 0.099_216],
                [-0.003_882, -0.048_116, 1.051_998],
            ],
        ),
        (
            "deuteranopia",
            [
                [0.367_322, 0.860_646, -0.227_968],
                [0.280_085, 0.672_501, 0.047_413],
                [-0.011_820, 0.042_940, 0.968_881],
            ],
        ),
        (
            "tritanopia",
            [
                [1.255_528, -0.076_749, -0.178_779],
                [-0.078_411, 0.930_809, 0.147_602],
                [0.004_733, 0.691_367, 0.303_900],
            ],
        ),
    ];

    #[test]
    fn more_is_always_brighter_whatever_colours_somebody_sees() {
        for (name, sight) in SIGHTS {
            let seen: Vec<f32> = (0..=20).map(|step| luminance(colour(step as f32 / 20.0), sight)).collect();
            assert!(seen.windows(2).all(|pair| pair[1] > pair[0]), "{name}: {seen:?}");
        }
    }

    #[test]
    fn places_follow_density_from_the_faintest_to_the_end() {
        assert_eq!(place(0.0, 4.0), FAINTEST);
        assert_eq!(place(4.0, 4.0), 1.0);
        assert!(place(1.0, 4.0) > place(0.5, 4.0));
        assert_eq!(place(1.0, 0.0), 0.0);
        assert_eq!(colour(0.0), RAMP[0]);
        assert_eq!(colour(1.0), RAMP[10]);
    }
}
