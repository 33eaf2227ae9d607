//! Ratios as answers show them.

/// kills / max(deaths, 1), two decimals.
pub(super) fn kd_ratio(kills: u64, deaths: u64) -> f64 {
    round(kills as f64 / deaths.max(1) as f64, 2)
}

/// 0–100, one decimal; 0 of nothing is 0. Capped, because one shell of a shotgun hits several times.
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    round((part as f64 / whole as f64 * 100.0).min(100.0), 1)
}

/// To so many decimals.
pub(crate) fn round(value: f64, decimals: i32) -> f64 {
    let factor = 10_f64.powi(decimals);
    (value * factor).round() / factor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_rounded_and_never_divide_by_zero() {
        assert_eq!(kd_ratio(7, 3), 2.33);
        assert_eq!(kd_ratio(7, 0), 7.0);
        assert_eq!(percent(1, 3), 33.3);
        assert_eq!(percent(0, 0), 0.0);
        assert_eq!(percent(9, 3), 100.0);
    }
}
