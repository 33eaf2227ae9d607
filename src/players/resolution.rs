//! Whom each id stands for, from what PostgreSQL says of links, merges and anonymous players. Pure.

use std::collections::{BTreeMap, BTreeSet};

use mohaa_domain::player::ANONYMOUS_PREFIX;

use super::links::is_id_of_a_user;

/// What is decided about players, as it is stored.
#[derive(Clone, Debug, Default)]
pub struct Decisions {
    /// A player id and the user that it belongs to.
    pub links: BTreeMap<String, i32>,
    /// A player id and the one that it was merged into.
    pub merges: BTreeMap<String, String>,
    /// A player id and the one under which it is shown instead.
    pub anonymous: BTreeMap<String, String>,
}

impl Decisions {
    /// The end of the merges that begin here. There are no circles; if there were one, its members would end at themselves.
    fn end_of_merges<'a>(&'a self, id: &'a str) -> &'a str {
        let mut end = id;
        let mut met = BTreeSet::from([id]);
        while let Some(next) = self.merges.get(end) {
            if !met.insert(next) {
                return id;
            }
            end = next;
        }
        end
    }

    /// Users by where the merges of a player of theirs end: whatever ends there is theirs too.
    fn owners(&self) -> BTreeMap<&str, i32> {
        let mut owners = BTreeMap::new();
        for (player_id, user_id) in &self.links {
            let end = self.end_of_merges(player_id);
            // One merged into a user's own id is that user's.
            if !is_id_of_a_user(end) {
                owners.entry(end).or_insert(*user_id);
            }
        }
        owners
    }

    /// Who stands for this id in one step. An anonymous player's way ends there, as does a user's own id; an id's own link
    /// says more than those of what it was merged with.
    fn next(&self, id: &str, owners: &BTreeMap<&str, i32>) -> Option<String> {
        if id.starts_with(ANONYMOUS_PREFIX) {
            return None;
        }
        let owner = || {
            let owner = self.links.get(id).or_else(|| owners.get(self.end_of_merges(id)));
            owner.filter(|_| !is_id_of_a_user(id)).map(i32::to_string)
        };
        self.anonymous.get(id).cloned().or_else(owner).or_else(|| self.merges.get(id).cloned())
    }
}

/// Whom each id stands for that doesn't stand for itself.
pub fn resolve(decisions: &Decisions) -> BTreeMap<String, String> {
    let ids: BTreeSet<&String> =
        (decisions.links.keys().chain(decisions.merges.keys()).chain(decisions.merges.values()))
            .chain(decisions.anonymous.keys())
            .collect();
    let owners = decisions.owners();
    let canonical = |id: &str| {
        let mut end = id.to_owned();
        // There are no circles; if there were one, its members would stand for themselves.
        let mut met = BTreeSet::from([end.clone()]);
        while let Some(next) = decisions.next(&end, &owners) {
            if !met.insert(next.clone()) {
                return id.to_owned();
            }
            end = next;
        }
        end
    };
    ids.into_iter().map(|id| (id.clone(), canonical(id))).filter(|(id, canonical)| id != canonical).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect()
    }

    #[test]
    fn merged_ids_follow_the_one_they_were_merged_into_to_its_user() {
        let decisions = Decisions {
            links: BTreeMap::from([("b".to_owned(), 1_000_000_001)]),
            merges: texts(&[("a", "b"), ("c", "d")]),
            anonymous: texts(&[("d", "anon_1")]),
        };
        let expected = texts(&[("a", "1000000001"), ("b", "1000000001"), ("c", "anon_1"), ("d", "anon_1")]);
        assert_eq!(resolve(&decisions), expected);
    }

    #[test]
    fn whoever_owns_one_of_merged_ids_is_all_of_them() {
        let decisions = Decisions {
            links: BTreeMap::from([("a".to_owned(), 1_000_000_001)]),
            merges: texts(&[("a", "b"), ("c", "b")]),
            ..Decisions::default()
        };
        let owned = texts(&[("a", "1000000001"), ("b", "1000000001"), ("c", "1000000001")]);
        assert_eq!(resolve(&decisions), owned);
        let unlinked = Decisions { links: BTreeMap::new(), ..decisions };
        assert_eq!(resolve(&unlinked), texts(&[("a", "b"), ("c", "b")]));
    }

    #[test]
    fn an_anonymous_user_takes_every_linked_id_along() {
        let decisions = Decisions {
            links: BTreeMap::from([("a".to_owned(), 1_000_000_001)]),
            anonymous: texts(&[("1000000001", "anon_1")]),
            ..Decisions::default()
        };
        assert_eq!(resolve(&decisions), texts(&[("1000000001", "anon_1"), ("a", "anon_1")]));
    }

    proptest! {
        #[test]
        fn whom_an_id_stands_for_stands_for_itself(
            merges in prop::collection::btree_map("[a-h]", "[a-h]", 0..8),
            links in prop::collection::btree_map("[a-h]", 1_000_000_001_i32..1_000_000_003, 0..4),
            anonymous in prop::collection::btree_map("[a-h]", "anon_[a-c]", 0..4),
        ) {
            let decisions = Decisions { links, merges, anonymous };
            let resolved = resolve(&decisions);
            for (id, canonical) in &resolved {
                prop_assert_ne!(id, canonical);
                // Members of a circle of merges, which can't be made, stand for themselves.
                prop_assert!(!resolved.contains_key(canonical) || decisions.merges.contains_key(canonical));
            }
        }
    }
}
