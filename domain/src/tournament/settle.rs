//! What follows from what is known: sides, statuses, forfeits of those who left, and what falls when sides change.

use std::collections::BTreeMap;

use super::bout::{Bout, By, Forfeit, Occupant, Report, Side, Source, Status as BoutStatus, Verdict};
use super::entrant::{Entrant, EntrantId};
use super::key::Key;
use super::state::{Status, Tournament};

impl Tournament {
    /// Derives everything derived. Gives the matches whose sides changed after something was played or said in them:
    /// that is void.
    ///
    /// Keys are in the order in which matches depend on each other, so one pass is enough.
    pub(super) fn settle(&mut self) -> Vec<Key> {
        let mut fallen = Vec::new();
        let mut placed: BTreeMap<u16, Option<Vec<EntrantId>>> = BTreeMap::new();
        let keys: Vec<Key> = self.bouts.keys().copied().collect();
        for key in keys {
            let Some(bout) = self.bouts.get(&key) else { continue };
            let occupants = if key == Key::RESET && !self.reset_is_due() {
                [Occupant::Tbd; 2]
            } else {
                bout.sources.map(|source| self.occupant(source, &mut placed))
            };
            let left = self.forfeit_of(occupants);
            let Some(bout) = self.bouts.get_mut(&key) else { continue };
            if bout.occupants != occupants {
                if bout.is_touched() {
                    bout.clear();
                    fallen.push(key);
                }
                bout.occupants = occupants;
            }
            if let (None, Some((forfeit, at))) = (&bout.outcome, left) {
                bout.outcome = Some(forfeited(forfeit, at));
                bout.accept_at = None;
            }
            bout.status = status(bout);
        }
        if self.status.has_begun() {
            self.status = if self.is_played() { Status::Completed } else { Status::InProgress };
        }
        fallen
    }

    fn occupant(&self, source: Source, placed: &mut BTreeMap<u16, Option<Vec<EntrantId>>>) -> Occupant {
        match source {
            Source::Bye => Occupant::Bye,
            Source::Entrant(id) => Occupant::Entrant(id),
            Source::Winner(key) => self.bouts.get(&key).map_or(Occupant::Bye, Bout::winner),
            Source::Loser(key) => self.bouts.get(&key).map_or(Occupant::Bye, Bout::loser),
            Source::Seed(seed) => self
                .draw
                .seeds
                .get(usize::from(seed).wrapping_sub(1))
                .map_or(Occupant::Bye, |id| Occupant::Entrant(*id)),
            Source::Placed(group, place) => {
                let order = placed
                    .entry(group)
                    .or_insert_with(|| self.group_is_over(group).then(|| self.placed(group)));
                match order {
                    Some(order) => order
                        .get(usize::from(place).wrapping_sub(1))
                        .map_or(Occupant::Bye, |id| Occupant::Entrant(*id)),
                    None => Occupant::Tbd,
                }
            }
        }
    }

    /// Who of two known sides has left, and since when.
    fn forfeit_of(&self, occupants: [Occupant; 2]) -> Option<(Forfeit, super::At)> {
        let [one, two] = occupants.map(|occupant| occupant.entrant().and_then(|id| self.entrants.get(&id)));
        let (one, two) = one.zip(two)?;
        let left = |entrant: &Entrant| entrant.left_at.unwrap_or_default();
        match (one.is_out(), two.is_out()) {
            (true, true) => Some((Forfeit::Both, left(one).max(left(two)))),
            (true, false) => Some((Forfeit::One, left(one))),
            (false, true) => Some((Forfeit::Two, left(two))),
            (false, false) => None,
        }
    }
}

fn forfeited(forfeit: Forfeit, at: super::At) -> Report {
    let winner = match forfeit {
        Forfeit::One => Some(Side::Two),
        Forfeit::Two => Some(Side::One),
        Forfeit::Both => None,
    };
    let verdict = Verdict { scores: [0, 0], winner, forfeit: Some(forfeit), games: Vec::new() };
    Report { by: By::Clock, at, verdict }
}

fn status(bout: &Bout) -> BoutStatus {
    let known = bout.occupants.iter().filter(|occupant| occupant.entrant().is_some()).count();
    if bout.outcome.is_some() || (bout.has_bye() && !bout.occupants.contains(&Occupant::Tbd)) {
        BoutStatus::Completed
    } else if known == 2 && bout.started_at.is_some() {
        BoutStatus::Running
    } else if known == 2 {
        BoutStatus::Ready
    } else if known == 1 {
        BoutStatus::Waiting
    } else {
        BoutStatus::Locked
    }
}
