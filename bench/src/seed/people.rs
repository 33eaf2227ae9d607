//! Who plays: a fixed population of which few play a lot and most play now and then (Zipf: the player of rank r comes with
//! the weight 1 / (r + 20)), with names that change over the year.

use mohaa_domain::event::Text;
use uuid::Uuid;

use super::dice::{Dice, mix};

/// Keeps the first ranks from being in every match.
const RANKS_OFFSET: usize = 20;
/// Nobody here is a user of this service: their ids begin above a thousand million.
const FIRST_MEMBER_ID: usize = 1_000;
/// Of ten players so many have no forum id, but the engine's guid.
const WITH_ENGINE_GUID: u64 = 2;
/// Days between two names of a player, at least and at most.
const NAME_DAYS: (u64, u64) = (60, 300);
/// A player who meets a server that is not theirs goes on as often.
const STAYS_ELSEWHERE: f64 = 0.35;

const NAMES: [&str; 40] = [
    "Hiroshi",
    "Yuta",
    "Elgan",
    "^1Hiro^7shi",
    "Tom & Jerry",
    "Müller",
    "^4|RAF|^7Spit",
    "Zoë",
    "Жуков",
    "Powell",
    "R&R",
    "Baker",
    "^2Green^0Beret",
    "{TLO}Max",
    "Łukasz",
    "grandpa",
    "Ace of Spades",
    "x_SNIPER_x",
    "Doc",
    "~*Ghost*~",
    "Pvt. Ryan",
    "Schmidt",
    "日本兵",
    "Elder",
    "^6pink^3panther",
    "Manon",
    "TANK!",
    "Grillo",
    "Kowalski",
    "-=[101st]=-",
    "Horvath",
    "Mellish",
    "Wade",
    "[82nd] Ash",
    "Frieda",
    "O'Neill",
    "^4Blue^7Jay",
    "moh_veteran",
    "Tex",
    "der Fuchs",
];

pub struct Population {
    seed: u64,
    servers: usize,
    /// Sums of weights up to and with each player.
    weights: Vec<f64>,
}

impl Population {
    pub fn new(seed: u64, players: usize, servers: usize) -> Self {
        let mut sum = 0.0;
        let weights = (0..players)
            .map(|rank| {
                sum += 1.0 / (rank + RANKS_OFFSET) as f64;
                sum
            })
            .collect();
        Self { seed, servers, weights }
    }

    pub fn count(&self) -> usize {
        self.weights.len()
    }

    /// So many different players for a match on a server, as far as there are so many.
    pub fn participants(&self, server: usize, count: usize, dice: &mut Dice) -> Vec<usize> {
        let total = self.weights.last().copied().unwrap_or_default();
        let mut chosen: Vec<usize> = Vec::with_capacity(count);
        while chosen.len() < count.min(self.count()) {
            let drawn = total * dice.fraction();
            let player = self.weights.partition_point(|sum| *sum <= drawn).min(self.count() - 1);
            let is_home = player % self.servers == server;
            if !chosen.contains(&player) && (is_home || dice.chance(STAYS_ELSEWHERE)) {
                chosen.push(player);
            }
        }
        chosen
    }

    /// The id under which a player is stored.
    pub fn id(&self, player: usize) -> Text {
        if self.has_engine_guid(player) {
            let guid = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("guid {} {player}", self.seed).as_bytes());
            return guid.simple().to_string().into();
        }
        (FIRST_MEMBER_ID + player).to_string().into()
    }

    pub fn has_engine_guid(&self, player: usize) -> bool {
        mix(self.seed ^ 0x91d, player as u64) % 10 < WITH_ENGINE_GUID
    }

    /// 0 (a beginner) to 1; most are middling.
    pub fn skill(&self, player: usize) -> f64 {
        let mut dice = Dice::new(self.seed, "skill", &[player as u64]);
        (dice.fraction() + dice.fraction()) / 2.0
    }

    /// The name on a day, with its colours.
    pub fn name(&self, player: usize, day: i32) -> Text {
        let number = mix(self.seed ^ 0x0e, player as u64);
        let period = NAME_DAYS.0 + number % (NAME_DAYS.1 - NAME_DAYS.0);
        let epoch = (u64::from(day.unsigned_abs()) + number % period) / period;
        let kind = mix(number, epoch) % NAMES.len() as u64;
        let name = NAMES[kind as usize];
        if player < NAMES.len() { name.into() } else { format!("{name} {player}").into() }
    }
}
