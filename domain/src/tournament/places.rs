//! Final places, as tiers of equals.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::bout::{Bout, Occupant, Status as BoutStatus};
use super::entrant::EntrantId;
use super::key::{Key, Section};
use super::state::{Routes, Status, Tournament};

/// Equals, and the places that they share, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    pub first: usize,
    pub last: usize,
    /// By seed. Fewer than will share these places, or none, while some still play.
    pub entrants: Vec<EntrantId>,
}

impl Tournament {
    /// Who came where, equals together, the best first; empty until all is played.
    pub fn final_places(&self) -> Vec<Vec<EntrantId>> {
        if self.status != Status::Completed {
            return Vec::new();
        }
        let mut tiers: Vec<Vec<EntrantId>> = self.knockout_exits().into_values().collect();
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

    /// All places of the knockout, the best first, with those who are out of it or have won it. While others may still play they stay what
    /// they are as long as no side of a match to come is taken out without an opponent who goes on.
    pub fn known_places(&self) -> Vec<Tier> {
        let mut out = self.knockout_exits();
        let mut to_come: BTreeMap<Exit, usize> = BTreeMap::new();
        let routes = self.routes();
        let reset_may_come =
            self.bouts.get(&Key::GRAND_FINAL).is_some_and(|bout| bout.status != BoutStatus::Completed);
        let reset = self.bouts.get(&Key::RESET).filter(|_| reset_may_come);
        for bout in self.knockout().chain(reset) {
            if bout.status == BoutStatus::Completed || bout.has_bye() {
                continue;
            }
            let leads = routes.get(&bout.key).copied().unwrap_or_default();
            for (won, leads) in [(true, leads.winner), (false, leads.loser)] {
                if leads.is_none() {
                    *to_come.entry(self.exit(bout, won, &routes)).or_default() += 1;
                }
            }
        }
        let exits: BTreeSet<Exit> = out.keys().chain(to_come.keys()).copied().collect();
        let mut first = 1;
        let mut tiers = Vec::new();
        for exit in exits {
            let entrants = out.remove(&exit).unwrap_or_default();
            let size = entrants.len() + to_come.get(&exit).copied().unwrap_or(0);
            tiers.push(Tier { first, last: first + size - 1, entrants });
            first += size;
        }
        tiers
    }

    fn knockout(&self) -> impl Iterator<Item = &Bout> {
        self.existing().filter(|bout| !matches!(bout.key.section, Section::Group | Section::Swiss))
    }

    /// Who is out of the knockout, by where. Those who lost in the same round are equal, unless a match was played for it.
    fn knockout_exits(&self) -> BTreeMap<Exit, Vec<EntrantId>> {
        let mut out: BTreeMap<Exit, Vec<EntrantId>> = BTreeMap::new();
        let mut last: BTreeMap<EntrantId, &Bout> = BTreeMap::new();
        for bout in self.knockout() {
            for entrant in bout.occupants.iter().filter_map(|occupant| occupant.entrant()) {
                last.insert(entrant, bout);
            }
        }
        let routes = self.routes();
        for (entrant, bout) in last {
            if bout.status == BoutStatus::Completed {
                let won = bout.winner() == Occupant::Entrant(entrant);
                out.entry(self.exit(bout, won, &routes)).or_default().push(entrant);
            }
        }
        for tier in out.values_mut() {
            tier.sort_by_key(|id| self.entrants.get(id).and_then(|entrant| entrant.seed));
        }
        out
    }

    /// How who won or lost a match leaves by it, if it is their last.
    fn exit(&self, bout: &Bout, won: bool, routes: &BTreeMap<Key, Routes>) -> Exit {
        let final_round = || self.section(Section::Single).map(|bout| bout.key.round).max();
        match bout.key.section {
            Section::Consolation if won => Exit::Third,
            Section::Consolation => Exit::Fourth,
            Section::Lower if won => Exit::Second,
            _ if won => Exit::Champion,
            Section::GrandFinal => Exit::Second,
            Section::Single if Some(bout.key.round) == final_round() => Exit::Second,
            // Whom a double forfeit takes out of the upper bracket goes out as if he had lost where its losers fall.
            _ => {
                let falls = routes.get(&bout.key).and_then(|routes| routes.loser);
                Exit::Lost(Reverse(falls.map_or(bout.key.round, |(key, _)| key.round)))
            }
        }
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
