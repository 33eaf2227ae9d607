//! How well a name fits what was looked for.

/// The better, the smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    Exact,
    Prefix,
    Part,
}

/// Both in the form of `comparison_key`; none where it does not fit at all.
pub(super) fn fit(name: &str, needle: &str) -> Option<Fit> {
    match name.find(needle)? {
        0 if name.len() == needle.len() => Some(Fit::Exact),
        0 => Some(Fit::Prefix),
        _ => Some(Fit::Part),
    }
}

/// The best fit of several names of one thing.
pub(super) fn best_fit<'a>(names: impl IntoIterator<Item = &'a str>, needle: &str) -> Option<Fit> {
    names.into_iter().filter_map(|name| fit(name, needle)).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_name_fits_better_than_its_beginning_and_that_better_than_a_part() {
        assert_eq!(fit("hiro", "hiro"), Some(Fit::Exact));
        assert_eq!(fit("hiroshi", "hiro"), Some(Fit::Prefix));
        assert_eq!(fit("old hiro", "hiro"), Some(Fit::Part));
        assert_eq!(fit("bert", "hiro"), None);
        assert_eq!(best_fit(["dm/mohdm1", "mohdm1"], "mohdm"), Some(Fit::Prefix));
        assert!(Fit::Exact < Fit::Prefix && Fit::Prefix < Fit::Part);
    }
}
