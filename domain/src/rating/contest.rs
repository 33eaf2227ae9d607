//! Who of a match is rated, and what came out.
//!
//! Rated are people: neither bots nor guests, whom no other match can recognise. One who was there for a moment has
//! neither won nor lost: who counts has played for a minute, or for a quarter of what whoever was there longest has.
//! Ids of one person come as one id, and are put together.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::{Outcome, Rating, rate_free_for_all, rate_sides};
use crate::event::Text;
use crate::player::is_guest_id;
use crate::vocabulary::{GameType, Team};

/// Whoever played for so long counts, however long the match was.
const LONG_ENOUGH_SECONDS: u64 = 60;
/// The part of the longest stay that is enough in a short match.
const SHARE_OF_THE_LONGEST: u64 = 4;

/// A match that is over, as far as ratings are concerned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlayedMatch {
    pub game_type: GameType,
    pub winning_team: Team,
    pub allies_score: i32,
    pub axis_score: i32,
    pub participants: Vec<Participant>,
}

/// Somebody who took part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Participant {
    /// Of the person, whatever the id they played under.
    pub player_id: Text,
    /// The side they were last on.
    pub team: Team,
    pub bot: bool,
    pub kills: u32,
    pub deaths: u32,
    /// From their first to their last event.
    pub playtime_seconds: u64,
}

/// What a match decides between those who count. Ids are in order, and no id is there twice.
#[derive(Clone, Debug, PartialEq)]
pub enum Contest {
    Sides {
        allies: Vec<Text>,
        axis: Vec<Text>,
        of_allies: Outcome,
    },
    /// Each with the place that was reached, from 1; equal ones share a place.
    FreeForAll(Vec<(Text, usize)>),
}

/// What a match changed about one player.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub player_id: Text,
    pub before: Rating,
    pub after: Rating,
}

impl PlayedMatch {
    /// What is to be rated; nothing where it takes two and there are not two, or where nobody knows who won.
    pub fn contest(&self) -> Option<Contest> {
        let people = self.people();
        if self.is_free_for_all(&people) { free_for_all(&people) } else { self.of_sides(&people) }
    }

    /// Those who count, by id.
    fn people(&self) -> BTreeMap<&Text, Participant> {
        let longest = self.participants.iter().map(|one| one.playtime_seconds).max().unwrap_or_default();
        let mut people: BTreeMap<&Text, Participant> = BTreeMap::new();
        let mut longest_stay: BTreeMap<&Text, u64> = BTreeMap::new();
        for one in &self.participants {
            if one.bot || one.player_id.is_empty() || is_guest_id(&one.player_id) {
                continue;
            }
            let person = people.entry(&one.player_id).or_insert_with(|| Participant {
                player_id: one.player_id.clone(),
                ..Participant::default()
            });
            person.kills = person.kills.saturating_add(one.kills);
            person.deaths = person.deaths.saturating_add(one.deaths);
            person.playtime_seconds = person.playtime_seconds.saturating_add(one.playtime_seconds);
            // Who played on under another id was on the side of the longer stay.
            let stay = longest_stay.entry(&one.player_id).or_default();
            if person.team == Team::Unknown || one.playtime_seconds > *stay {
                (person.team, *stay) = (one.team, one.playtime_seconds);
            }
        }
        people.retain(|_, person| {
            let stay = person.playtime_seconds;
            stay >= LONG_ENOUGH_SECONDS || stay.saturating_mul(SHARE_OF_THE_LONGEST) >= longest
        });
        people
    }

    /// A game type that nobody named is told by the teams.
    fn is_free_for_all(&self, people: &BTreeMap<&Text, Participant>) -> bool {
        match self.game_type {
            GameType::FreeForAll => true,
            GameType::Unknown => people.values().all(|person| person.team == Team::FreeForAll),
            _ => false,
        }
    }

    fn of_sides(&self, people: &BTreeMap<&Text, Participant>) -> Option<Contest> {
        if self.game_type == GameType::Single {
            return None;
        }
        let is_level = self.allies_score == self.axis_score;
        let of_allies = match self.winning_team {
            Team::Allies => Outcome::Won,
            Team::Axis => Outcome::Lost,
            Team::None if is_level => Outcome::Draw,
            // Nought to nought without a word about who won is a match that was left, not a draw.
            _ if is_level && self.allies_score != 0 => Outcome::Draw,
            _ => return None,
        };
        let of = |team: Team| -> Vec<Text> {
            people
                .values()
                .filter(|person| person.team == team)
                .map(|person| person.player_id.clone())
                .collect()
        };
        let (allies, axis) = (of(Team::Allies), of(Team::Axis));
        (!allies.is_empty() && !axis.is_empty()).then_some(Contest::Sides { allies, axis, of_allies })
    }
}

/// By kills, then by fewer deaths. Where nobody fought there is nothing to rate.
fn free_for_all(people: &BTreeMap<&Text, Participant>) -> Option<Contest> {
    let has_fought = |person: &&Participant| person.kills > 0 || person.deaths > 0;
    let all: Vec<&Participant> =
        people.values().filter(|person| has_fought(person) || person.team != Team::Spectator).collect();
    if all.len() < 2 || !all.iter().any(has_fought) {
        return None;
    }
    let key = |person: &Participant| (Reverse(person.kills), person.deaths);
    let place = |one: &Participant| 1 + all.iter().filter(|other| key(other) < key(one)).count();
    Some(Contest::FreeForAll(all.iter().map(|one| (one.player_id.clone(), place(one))).collect()))
}

impl Contest {
    pub fn player_ids(&self) -> impl Iterator<Item = &Text> {
        let (first, second, ranked): (&[Text], &[Text], &[(Text, usize)]) = match self {
            Contest::Sides { allies, axis, .. } => (allies, axis, &[]),
            Contest::FreeForAll(ranked) => (&[], &[], ranked),
        };
        first.iter().chain(second).chain(ranked.iter().map(|(player_id, _)| player_id))
    }

    /// What it changes about everybody in it, by id; `rating_of` says what they had before.
    pub fn rate(&self, rating_of: impl Fn(&str) -> Rating) -> Vec<Change> {
        let before: Vec<Rating> = self.player_ids().map(|player_id| rating_of(player_id)).collect();
        let after = match self {
            Contest::Sides { allies, of_allies, .. } => {
                let (allies, axis) = before.split_at(allies.len());
                let (mut rated, axis) = rate_sides(allies, axis, *of_allies);
                rated.extend(axis);
                rated
            }
            Contest::FreeForAll(ranked) => {
                let places = ranked.iter().map(|(_, place)| *place);
                rate_free_for_all(&before.iter().copied().zip(places).collect::<Vec<_>>())
            }
        };
        let change = |((player_id, before), after): ((&Text, Rating), Rating)| Change {
            player_id: player_id.clone(),
            before,
            after,
        };
        let mut changes: Vec<Change> = self.player_ids().zip(before).zip(after).map(change).collect();
        changes.sort_by(|one, other| one.player_id.cmp(&other.player_id));
        changes
    }
}
