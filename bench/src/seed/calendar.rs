//! When is played: so many events a day, in matches one after the other on servers of which some are fuller than others.

use chrono::{DateTime, NaiveDate, Utc};
use mohaa_domain::event::{Millis, Text};
use mohaa_domain::vocabulary::GameType;
use uuid::Uuid;

use super::dice::Dice;
use super::world::{BattleMap, MAPS};

pub const DAY_MS: i64 = 86_400_000;
/// A match lies within its day.
const LONGEST_MATCH_MS: i64 = 30 * 60_000;
/// Players of a match, at least and at most.
const PLAYERS: (usize, usize) = (8, 24);
/// Events that each of them brings, at least and at most.
const EVENTS_EACH: (usize, usize) = (45, 80);
/// The fuller servers come first: the weight of the server of rank r is 1 / (r + 4).
const SERVER_RANKS_OFFSET: usize = 4;

/// What the calendar is made of.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    pub seed: u64,
    pub events: u64,
    pub servers: usize,
    pub days: u32,
    /// No match begins later than half an hour before.
    pub until: DateTime<Utc>,
}

/// One match before it is played.
pub struct MatchPlan {
    pub match_id: Uuid,
    pub server: usize,
    pub server_id: Uuid,
    /// `""` where the server does not name its matches.
    pub source_match_id: Text,
    pub started_at: Millis,
    pub seconds: f64,
    pub map: &'static BattleMap,
    pub game_type: GameType,
    pub players: usize,
    pub events: usize,
    /// Number among all matches of the day.
    pub number: u64,
    pub dice: Dice,
}

pub fn server_id(seed: u64, server: usize) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("server {seed} {server}").as_bytes())
}

pub fn server_name(server: usize) -> String {
    const NAMES: [&str; 10] = [
        "Omaha Beach",
        "Stalingrad 24/7",
        "The Bridge",
        "Freeze Tag Europe",
        "Snipertown",
        "Objective Only",
        "^1Red^7 Devils",
        "Old Veterans",
        "Brest Rifles",
        "V2 Rocket Base",
    ];
    format!("{} #{}", NAMES[server % NAMES.len()], server / NAMES.len() + 1)
}

impl Extent {
    pub fn dates(&self) -> Vec<NaiveDate> {
        let last = self.until.date_naive();
        let mut dates: Vec<NaiveDate> = last.iter_days().rev().take(self.days as usize).collect::<Vec<_>>();
        dates.reverse();
        dates
    }

    /// The matches of a day, in no particular order.
    pub fn matches(&self, date: NaiveDate) -> Vec<MatchPlan> {
        let first_ms = date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_millis();
        let day_number = (first_ms / DAY_MS) as u64;
        let mut dice = Dice::new(self.seed, "day", &[day_number]);
        let wanted = (self.events / u64::from(self.days.max(1))) as usize;
        let mut by_server: Vec<Vec<MatchPlan>> = (0..self.servers).map(|_| Vec::new()).collect();
        let (mut events, mut number) = (0, 0);
        while events < wanted {
            let server = ranked(self.servers, SERVER_RANKS_OFFSET, &mut dice);
            let plan = self.plan(day_number, server, number, &mut dice);
            // Goes over, or is left out: so that a year of small days comes to what was asked for.
            let part_wanted = (wanted - events) as f64 / plan.events as f64;
            events += plan.events;
            number += 1;
            if part_wanted >= 1.0 || dice.chance(part_wanted) {
                by_server[server].push(plan);
            }
        }
        let latest_start = self.until.timestamp_millis() - LONGEST_MATCH_MS;
        for plans in &mut by_server {
            let room = (DAY_MS - LONGEST_MATCH_MS) / plans.len().max(1) as i64;
            for (place, plan) in plans.iter_mut().enumerate() {
                let spare = room.saturating_sub(LONGEST_MATCH_MS).max(1);
                plan.started_at.0 = first_ms + place as i64 * room + dice.below(spare as usize) as i64;
            }
        }
        by_server.into_iter().flatten().filter(|plan| plan.started_at.0 <= latest_start).collect()
    }

    fn plan(&self, day_number: u64, server: usize, number: u64, day: &mut Dice) -> MatchPlan {
        let mut dice = Dice::new(self.seed, "match", &[day_number, number]);
        let map = &MAPS[ranked(MAPS.len(), 2, day)];
        let players = PLAYERS.0 + dice.below(PLAYERS.1 - PLAYERS.0 + 1);
        let server_id = server_id(self.seed, server);
        // A third of the servers say `no_match`.
        let source_match_id = if server % 3 == 2 {
            Text::default()
        } else {
            format!("match_{day_number:x}_{server}_{number}").into()
        };
        MatchPlan {
            match_id: Uuid::new_v5(&server_id, format!("{day_number} {number}").as_bytes()),
            server,
            server_id,
            source_match_id,
            started_at: Millis(0),
            seconds: dice.between(600.0, 1_500.0),
            map,
            game_type: *dice.pick(map.game_types),
            players,
            events: players * (EVENTS_EACH.0 + dice.below(EVENTS_EACH.1 - EVENTS_EACH.0)),
            number,
            dice,
        }
    }
}

/// A rank from 0 up to, not including, `count`, the first ones more often.
fn ranked(count: usize, offset: usize, dice: &mut Dice) -> usize {
    let weight = |rank: usize| 1.0 / (rank + offset) as f64;
    let mut drawn = (0..count).map(weight).sum::<f64>() * dice.fraction();
    for rank in 0..count {
        drawn -= weight(rank);
        if drawn < 0.0 {
            return rank;
        }
    }
    count.saturating_sub(1)
}
