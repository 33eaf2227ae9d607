//! What an entrant did in a tournament, as achievements measure it: a function of the tournament as it was completed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rule::{Condition, Measure, Rule, Scope};
use super::{Catalogue, Definition, Tier};
use crate::tournament::{Bout, EntrantId, Outcome, Section, Side, Status, Tournament};

/// Fewer games than these lost before the first won one are no sweep to be reversed: a best of three is turned often.
const SWEEP_GAMES: usize = 2;

/// A number about an entrant of a completed tournament.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// 1 for who was in it to the end.
    Part,
    /// Entrants that were in it as it began.
    Field,
    /// From 1; those who share one have the best of theirs.
    Place,
    /// Others who share it.
    Sharing,
    /// Played: no byes and nothing that the other side forfeited. This goes for all numbers of matches won.
    Wins,
    /// Matches lost, by forfeit too.
    Defeats,
    Draws,
    /// Lost in series; a single game that was lost is one.
    GamesLost,
    /// Series of several games that were won.
    SeriesWon,
    /// Won in the lower bracket.
    LowerWins,
    /// Won with nothing on the other side's score.
    Shutouts,
    /// Series won after the first two games at least were lost, and the next one would have ended it.
    ReverseSweeps,
    /// By how many seeds the best of those who were beaten stood above, of those whose rating was higher as the place was
    /// taken: seeds alone may be an order of registration.
    Upset,
}

/// What one entrant did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Campaign {
    numbers: BTreeMap<Deed, u64>,
}

impl Campaign {
    pub fn measure(&self, deed: Deed) -> u64 {
        self.numbers.get(&deed).copied().unwrap_or_default()
    }

    fn add(&mut self, deed: Deed, more: u64) {
        *self.numbers.entry(deed).or_default() += more;
    }

    fn raise(&mut self, deed: Deed, to: u64) {
        let number = self.numbers.entry(deed).or_default();
        *number = to.max(*number);
    }
}

/// Of every entrant that was in it to the end; of nobody while it is not completed.
pub fn campaigns(tournament: &Tournament) -> BTreeMap<EntrantId, Campaign> {
    if tournament.status != Status::Completed {
        return BTreeMap::new();
    }
    let mut campaigns: BTreeMap<EntrantId, Campaign> =
        tournament.field().map(|entrant| (entrant.id, Campaign::default())).collect();
    let field = tournament.draw.seeds.len() as u64;
    let mut place = 1;
    for tier in tournament.final_places() {
        for entrant in &tier {
            if let Some(campaign) = campaigns.get_mut(entrant) {
                campaign.raise(Deed::Place, place);
                campaign.raise(Deed::Sharing, tier.len() as u64 - 1);
            }
        }
        place += tier.len() as u64;
    }
    for campaign in campaigns.values_mut() {
        campaign.raise(Deed::Part, 1);
        campaign.raise(Deed::Field, field);
    }
    for bout in tournament.existing().filter(|bout| bout.is_real()) {
        for side in Side::BOTH {
            let own = bout.occupants[side.index()].entrant();
            if let Some(campaign) = own.and_then(|id| campaigns.get_mut(&id)) {
                tell(campaign, tournament, bout, side);
            }
        }
    }
    campaigns
}

/// Adds what a match says of one of its sides.
fn tell(campaign: &mut Campaign, tournament: &Tournament, bout: &Bout, side: Side) {
    let Some(verdict) = bout.outcome.as_ref().map(|outcome| &outcome.verdict) else { return };
    let against = u64::from(verdict.scores[side.other().index()]);
    let is_series = bout.best_of > 1;
    match outcome_of(verdict.winner, verdict.forfeit.is_some(), side) {
        Outcome::Loss => {
            campaign.add(Deed::Defeats, 1);
            campaign.add(Deed::GamesLost, if is_series { against } else { 1 });
            return;
        }
        Outcome::Draw => return campaign.add(Deed::Draws, 1),
        Outcome::Win | Outcome::Bye => {}
    }
    if is_series {
        campaign.add(Deed::GamesLost, against);
    }
    if verdict.forfeit.is_some() {
        return;
    }
    campaign.add(Deed::Wins, 1);
    campaign.add(Deed::SeriesWon, u64::from(is_series));
    campaign.add(Deed::LowerWins, u64::from(bout.key.section == Section::Lower));
    campaign.add(Deed::Shutouts, u64::from(against == 0));
    let lost_first = verdict.games.iter().take_while(|game| game.winner() == Some(side.other())).count();
    let is_reversed = lost_first >= SWEEP_GAMES && lost_first == usize::from(bout.best_of / 2);
    campaign.add(Deed::ReverseSweeps, u64::from(is_reversed));
    let entrant = |side: Side| tournament.entrants.get(&bout.occupants[side.index()].entrant()?);
    if let Some((own, other)) = entrant(side).zip(entrant(side.other()))
        && other.rating > own.rating
        && let Some((seed, of_other)) = own.seed.zip(other.seed)
    {
        campaign.raise(Deed::Upset, seed.saturating_sub(of_other).into());
    }
}

fn outcome_of(winner: Option<Side>, is_forfeited: bool, side: Side) -> Outcome {
    match winner {
        Some(winner) if winner == side => Outcome::Win,
        // Forfeited by both.
        None if !is_forfeited => Outcome::Draw,
        _ => Outcome::Loss,
    }
}

impl Catalogue {
    /// Everything that a campaign earns, whoever has it already.
    pub fn earned_in_tournament(&self, campaign: &Campaign) -> Vec<(&Definition, Tier)> {
        let mut earned = Vec::new();
        for definition in &self.definitions {
            let Some(reached) = definition.rule.measured_in_tournament(campaign) else { continue };
            let is_reached = |tier: &&Tier| tier.threshold <= reached;
            earned.extend(definition.tiers.iter().filter(is_reached).map(|tier| (definition, *tier)));
        }
        earned
    }
}

impl Rule {
    fn measured_in_tournament(&self, campaign: &Campaign) -> Option<u64> {
        if self.scope != Scope::Tournament {
            return None;
        }
        let value = |measure: &Measure| match measure {
            Measure::Tournament(deed) => campaign.measure(*deed),
            _ => 0,
        };
        let holds = |condition: &Condition| condition.holds(value(&condition.measure));
        self.require.iter().all(holds).then(|| value(&self.measure))
    }
}
