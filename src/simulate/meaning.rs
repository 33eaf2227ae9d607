//! What a wire event must count as, and the ledger that adds it up for the report.
//!
//! This is a second, independent reading of the field's rules (kills, suicides, team kills, headshots): it shares no
//! code with the service, so that the two can be compared. It knows what the service can know: a map or game type
//! only from events that said it, both teams only from events that were accepted.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::event::{GameType, Side, Stand};
use super::roster::Persona;

#[derive(Clone, Debug)]
pub struct Who {
    pub persona: Arc<Persona>,
    pub side: Side,
}

impl From<&Stand> for Who {
    fn from(stand: &Stand) -> Self {
        Self { persona: Arc::clone(&stand.persona), side: stand.side }
    }
}

/// A weapon as the dialect named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedWeapon {
    pub slug: &'static str,
    pub name: &'static str,
}

#[derive(Clone, Debug, Default)]
pub enum Counts {
    #[default]
    Nothing,
    Kill {
        head: bool,
        weapon: Option<NamedWeapon>,
    },
    Damage {
        amount: u32,
        weapon: Option<NamedWeapon>,
    },
    Shot {
        weapon: NamedWeapon,
    },
    Hit,
    /// In quarters of a map unit.
    Distance {
        quarters: u32,
    },
    Jump,
}

/// What one wire event tells whoever understands it.
#[derive(Clone, Debug, Default)]
pub struct Meaning {
    pub actor: Option<Who>,
    pub target: Option<Who>,
    pub counts: Counts,
    pub map_name: Option<&'static str>,
    pub game_type: Option<GameType>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct WeaponTally {
    pub name: &'static str,
    pub kills: u64,
    pub headshots: u64,
    pub shots_fired: u64,
    pub damage: u64,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    pub kills: u64,
    /// Every kill event's victim, suicides, team kills and the environment included.
    pub deaths: u64,
    pub headshots: u64,
    pub suicides: u64,
    pub team_kills: u64,
    /// Deaths without an attacker.
    pub world_deaths: u64,
    /// Health points taken from others by damage events. Left out are self and, by the rule of team kills, the own
    /// team: in free-for-all nobody is that.
    pub damage: u64,
    pub team_damage: u64,
    pub shots_fired: u64,
    pub shots_hit: u64,
    /// Map units walked, sprinted, swum and driven.
    pub distance: f64,
    pub jumps: u64,
    /// Matches in whose events the player occurs.
    pub matches: u64,
    /// Most scoring kills without a death in between, within one match.
    pub best_killstreak: u64,
    pub weapons: BTreeMap<&'static str, WeaponTally>,
    #[serde(skip)]
    streak: u64,
}

impl Tally {
    fn weapon(&mut self, weapon: NamedWeapon) -> &mut WeaponTally {
        let tally = self.weapons.entry(weapon.slug).or_default();
        tally.name = weapon.name;
        tally
    }

    pub fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.deaths += other.deaths;
        self.headshots += other.headshots;
        self.suicides += other.suicides;
        self.team_kills += other.team_kills;
        self.world_deaths += other.world_deaths;
        self.damage += other.damage;
        self.team_damage += other.team_damage;
        self.shots_fired += other.shots_fired;
        self.shots_hit += other.shots_hit;
        self.distance += other.distance;
        self.jumps += other.jumps;
        self.matches += other.matches;
        self.best_killstreak = self.best_killstreak.max(other.best_killstreak);
        for (slug, theirs) in &other.weapons {
            let ours = self.weapons.entry(slug).or_default();
            ours.name = theirs.name;
            ours.kills += theirs.kills;
            ours.headshots += theirs.headshots;
            ours.shots_fired += theirs.shots_fired;
            ours.damage += theirs.damage;
        }
    }
}

/// Tallies of logged-in players by member id, with the name each was seen under, and of all guests together.
#[derive(Clone, Debug, Default)]
pub struct Tallies {
    pub members: BTreeMap<u32, (Arc<Persona>, Tally)>,
    pub guests: Tally,
}

impl Tallies {
    fn of(&mut self, who: &Who) -> &mut Tally {
        match who.persona.member_id {
            Some(id) => {
                let (_, tally) =
                    self.members.entry(id).or_insert_with(|| (Arc::clone(&who.persona), Tally::default()));
                tally.matches = 1;
                tally
            }
            None => &mut self.guests,
        }
    }

    pub fn add(&mut self, other: &Self) {
        for (id, (persona, tally)) in &other.members {
            self.members.entry(*id).or_insert_with(|| (Arc::clone(persona), Tally::default())).1.add(tally);
        }
        self.guests.add(&other.guests);
    }

    /// Sums over everybody, guests included.
    pub fn total(&self) -> Tally {
        let mut total = self.guests.clone();
        for (_, tally) in self.members.values() {
            total.add(tally);
        }
        total
    }
}

/// What happened to a request that carried events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Accepted,
    /// The connection broke before an answer came: nobody knows whether the events arrived.
    Unanswered,
}

/// One match as the service should see it.
#[derive(Clone, Debug, Default)]
pub struct MatchLedger {
    pub map_name: Option<&'static str>,
    pub game_type: Option<GameType>,
    saw_allies: bool,
    saw_axis: bool,
    pub accepted: Tallies,
    pub unanswered: Tallies,
}

impl MatchLedger {
    pub fn record(&mut self, meaning: &Meaning, fate: Fate) {
        if fate == Fate::Accepted {
            self.learn(meaning);
        }
        let separates_teams = self.separates_teams();
        let tallies = match fate {
            Fate::Accepted => &mut self.accepted,
            Fate::Unanswered => &mut self.unanswered,
        };
        for who in [&meaning.actor, &meaning.target].into_iter().flatten() {
            tallies.of(who);
        }
        count(meaning, separates_teams, tallies);
    }

    fn learn(&mut self, meaning: &Meaning) {
        self.map_name = meaning.map_name.or(self.map_name);
        self.game_type = meaning.game_type.or(self.game_type);
        for who in [&meaning.actor, &meaning.target].into_iter().flatten() {
            self.saw_allies |= who.side == Side::Allies;
            self.saw_axis |= who.side == Side::Axis;
        }
    }

    /// Whether a kill within a team is a team kill. Without a game type it is one once both teams were seen.
    fn separates_teams(&self) -> bool {
        match self.game_type {
            Some(game_type) => game_type != GameType::FreeForAll,
            None => self.saw_allies && self.saw_axis,
        }
    }
}

fn count(meaning: &Meaning, separates_teams: bool, tallies: &mut Tallies) {
    let (actor, target) = (meaning.actor.as_ref(), meaning.target.as_ref());
    let is_self = matches!((actor, target), (Some(a), Some(t)) if a.persona.number == t.persona.number);
    let is_same_team =
        matches!((actor, target), (Some(a), Some(t)) if a.side == t.side && a.side != Side::Spectator);
    match (&meaning.counts, actor, target) {
        (Counts::Kill { head, weapon }, _, Some(victim)) => {
            let tally = tallies.of(victim);
            tally.deaths += 1;
            tally.streak = 0;
            let Some(attacker) = actor else {
                tally.world_deaths += 1;
                return;
            };
            if is_self {
                tally.suicides += 1;
                return;
            }
            let tally = tallies.of(attacker);
            if is_same_team && separates_teams {
                tally.team_kills += 1;
                return;
            }
            tally.kills += 1;
            tally.headshots += u64::from(*head);
            tally.streak += 1;
            tally.best_killstreak = tally.best_killstreak.max(tally.streak);
            if let Some(weapon) = weapon {
                let by_weapon = tally.weapon(*weapon);
                by_weapon.kills += 1;
                by_weapon.headshots += u64::from(*head);
            }
        }
        (Counts::Damage { amount, weapon }, Some(attacker), Some(_)) if !is_self => {
            let tally = tallies.of(attacker);
            if is_same_team && separates_teams {
                tally.team_damage += u64::from(*amount);
                return;
            }
            tally.damage += u64::from(*amount);
            if let Some(weapon) = weapon {
                tally.weapon(*weapon).damage += u64::from(*amount);
            }
        }
        (Counts::Shot { weapon }, Some(shooter), _) => {
            let tally = tallies.of(shooter);
            tally.shots_fired += 1;
            tally.weapon(*weapon).shots_fired += 1;
        }
        (Counts::Hit, Some(shooter), _) => tallies.of(shooter).shots_hit += 1,
        (Counts::Distance { quarters }, Some(walker), _) => {
            tallies.of(walker).distance += f64::from(*quarters) / 4.0;
        }
        (Counts::Jump, Some(jumper), _) => tallies.of(jumper).jumps += 1,
        _ => {}
    }
}
