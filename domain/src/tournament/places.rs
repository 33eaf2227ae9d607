//! Final places, as tiers of equals.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::bout::{Bout, Occupant};
use super::entrant::EntrantId;
use super::key::Section;
use super::state::{Status, Tournament};

impl Tournament {
    /// Who came where, equals together, the best first; empty until all is played.
    pub fn final_places(&self) -> Vec<Vec<EntrantId>> {
        if self.status != Status::Completed {
            return Vec::new();
        }
        let mut tiers = self.knockout_places();
        let placed: BTreeSet<EntrantId> = tiers.iter().flatten().copied().collect();
        // Who did not get that far: by the place in the table, whichever.
        let mut by_rank: BTreeMap<usize, Vec<EntrantId>> = BTreeMap::new();
        for row in self.tables().into_iter().flat_map(|table| self.table(table)) {
            if !placed.contains(&row.entrant) {
                by_rank.entry(row.rank).or_default().push(row.entrant);
            }
        }
        tiers.extend(by_rank.into_values());
        tiers
    }

    /// Who came out of the knockout where. Those who lost in the same round are equal, unless a match was played for it.
    fn knockout_places(&self) -> Vec<Vec<EntrantId>> {
        let mut out: BTreeMap<Exit, Vec<EntrantId>> = BTreeMap::new();
        let mut last: BTreeMap<EntrantId, &Bout> = BTreeMap::new();
        for bout in
            self.existing().filter(|bout| !matches!(bout.key.section, Section::Group | Section::Swiss))
        {
            for entrant in bout.occupants.iter().filter_map(|occupant| occupant.entrant()) {
                last.insert(entrant, bout);
            }
        }
        let routes = self.routes();
        let final_round = self.section(Section::Single).map(|bout| bout.key.round).max();
        for (entrant, bout) in last {
            let won = bout.winner() == Occupant::Entrant(entrant);
            let exit = match bout.key.section {
                Section::Consolation if won => Exit::Third,
                Section::Consolation => Exit::Fourth,
                Section::Lower if won => Exit::Second,
                _ if won => Exit::Champion,
                Section::GrandFinal => Exit::Second,
                Section::Single if Some(bout.key.round) == final_round => Exit::Second,
                // Whom a double forfeit takes out of the upper bracket goes out as if he had lost where its losers fall.
                _ => {
                    let falls = routes.get(&bout.key).and_then(|routes| routes.loser);
                    Exit::Lost(Reverse(falls.map_or(bout.key.round, |(key, _)| key.round)))
                }
            };
            out.entry(exit).or_default().push(entrant);
        }
        out.into_values().map(|tier| self.by_seed(tier)).collect()
    }

    fn by_seed(&self, mut tier: Vec<EntrantId>) -> Vec<EntrantId> {
        tier.sort_by_key(|id| self.entrants.get(id).and_then(|entrant| entrant.seed));
        tier
    }
}

/// How somebody left a knockout, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Exit {
    /// Won the last match of all, or the upper bracket if nothing comes after it.
    Champion,
    /// Lost it, or won the lower bracket if nothing comes after it.
    Second,
    Third,
    Fourth,
    /// In this round, a later one being better.
    Lost(Reverse<u16>),
}
