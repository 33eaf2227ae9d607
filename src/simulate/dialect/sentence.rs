//! The words of each dialect for what happened: which event types it has, under which names, with which fields.

use super::Dialect;
use super::value::{Fields, Value};
use crate::simulate::arsenal::Weapon;
use crate::simulate::dice::Dice;
use crate::simulate::event::{Deed, GameEvent, GameType, Hitloc, Means, Side, Stand};
use crate::simulate::maps::BattleMap;
use crate::simulate::meaning::{Counts, Meaning, NamedWeapon, Who};

/// One wire event before it is written: its type, the players in it, its own fields, and what it counts as.
#[derive(Debug)]
pub struct Sentence {
    pub kind: &'static str,
    /// Prefix (`player`, `attacker`, …) and player.
    pub blocks: Vec<(&'static str, Stand)>,
    pub details: Fields,
    pub meaning: Meaning,
}

impl Sentence {
    fn new(kind: &'static str, blocks: Vec<(&'static str, &Stand)>, counts: Counts) -> Self {
        let meaning = Meaning {
            actor: blocks
                .iter()
                .find(|(prefix, _)| matches!(*prefix, "player" | "attacker" | "killer"))
                .map(|(_, stand)| Who::from(*stand)),
            target: blocks
                .iter()
                .find(|(prefix, _)| matches!(*prefix, "victim" | "target"))
                .map(|(_, stand)| Who::from(*stand)),
            counts,
            ..Meaning::default()
        };
        let blocks = blocks.into_iter().map(|(prefix, stand)| (prefix, stand.clone())).collect();
        Self { kind, blocks, details: Fields::default(), meaning }
    }

    fn of(kind: &'static str, player: &Stand) -> Self {
        Self::new(kind, vec![("player", player)], Counts::Nothing)
    }

    fn bare(kind: &'static str) -> Self {
        Self::new(kind, Vec::new(), Counts::Nothing)
    }

    fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.details.put(key, value);
        self
    }

    fn on(self, map: &'static BattleMap) -> Self {
        let mut sentence = self.with("map_name", map.name);
        sentence.meaning.map_name = Some(map.name);
        sentence
    }

    fn playing(mut self, game_type: GameType, spelling: impl Into<Value>) -> Self {
        self.details.put("gametype", spelling);
        self.meaning.game_type = Some(game_type);
        self
    }

    pub fn is_kill(&self) -> bool {
        matches!(self.meaning.counts, Counts::Kill { .. })
    }
}

/// Everything that this dialect says about an event: nothing, one sentence, or several for one shot.
pub fn sentences(dialect: Dialect, event: &GameEvent, level_ms: u64, dice: &mut Dice) -> Vec<Sentence> {
    let mut said = match &event.deed {
        Deed::Kill { .. } => kill(dialect, &event.deed, dice),
        deed => common(dialect, deed, level_ms, dice).into_iter().collect(),
    };
    said.retain(|sentence| knows(dialect, sentence.kind));
    said
}

/// Event types that a dialect has at all.
fn knows(dialect: Dialect, kind: &str) -> bool {
    match dialect {
        Dialect::Live => matches!(
            kind,
            "player_kill"
                | "player_spawn"
                | "jump"
                | "crouch"
                | "ladder_mount"
                | "ladder_dismount"
                | "distance"
                | "weapon_change"
                | "player_auth"
        ),
        Dialect::G1 => !matches!(
            kind,
            "player_auth" | "ladder_mount" | "ladder_dismount" | "item_pickup" | "objective_capture"
        ),
        Dialect::G2 => !matches!(kind, "player_auth"),
        Dialect::G3 | Dialect::Tools => true,
    }
}

fn common(dialect: Dialect, deed: &Deed, level_ms: u64, dice: &mut Dice) -> Option<Sentence> {
    let is_first = dialect == Dialect::G1;
    // Later scripts and tools say the same under several names.
    let mut either = |canonical: &'static str, aliases: &[&'static str]| match dialect {
        Dialect::G1 => canonical,
        _ if dice.chance(0.5) => canonical,
        _ => *dice.pick(aliases),
    };
    let sentence = match deed {
        // Kills are told in several sentences.
        Deed::Kill { .. } => return None,
        Deed::MatchStart { map, game_type, time_limit_minutes } => Sentence::bare("match_start")
            .on(map)
            .playing(*game_type, spell_game_type(dialect, *game_type))
            .with("timelimit", Value::Count(i64::from(*time_limit_minutes)))
            .with("fraglimit", Value::Count(0))
            .with("maxclients", Value::Count(20)),
        Deed::MatchEnd { map, game_type, winner, scores, rounds } => Sentence::bare("match_end")
            .on(map)
            .playing(*game_type, spell_game_type(dialect, *game_type))
            .with("duration", Value::Measure(level_ms as f64 / 1000.0))
            .with("winning_team", winner.map_or("none", |side| spell_side(dialect, side)))
            .with("allies_score", Value::Whole(i64::from(scores.allies)))
            .with("axis_score", Value::Whole(i64::from(scores.axis)))
            .with("total_rounds", Value::Whole(i64::from(*rounds))),
        Deed::RoundStart { round } => {
            Sentence::bare("round_start").with("round_number", Value::Whole(i64::from(*round)))
        }
        Deed::RoundEnd { round, winner } => Sentence::bare("round_end")
            .with("round_number", Value::Whole(i64::from(*round)))
            .with("winning_team", winner.map_or("none", |side| spell_side(dialect, side))),
        Deed::Heartbeat { map, round, scores, players } => {
            let heartbeat = Sentence::bare("heartbeat");
            // The JSON scripts name the map at start and end only.
            let heartbeat = if dialect == Dialect::G3 { heartbeat } else { heartbeat.on(map) };
            heartbeat
                .with("round_number", Value::Whole(i64::from(*round)))
                .with("allies_score", Value::Whole(i64::from(scores.allies)))
                .with("axis_score", Value::Whole(i64::from(scores.axis)))
                .with("player_count", Value::Whole(i64::from(*players)))
        }
        Deed::Connect { player } => {
            Sentence::of(either("connect", &["player_connect", "player_connected"]), player)
                .with("client_num", Value::Whole(i64::from(player.slot)))
        }
        Deed::Authenticated { player } => {
            let sentence = Sentence::of("player_auth", player);
            match player.persona.member_id {
                Some(id) => sentence
                    .with("smf_member_id", Value::Whole(i64::from(id)))
                    .with("smf_member_name", Value::Text(player.persona.name.clone())),
                None => sentence,
            }
        }
        Deed::Disconnect { player } => {
            Sentence::of(either("disconnect", &["player_disconnect", "player_disconnecting"]), player)
        }
        Deed::TeamChange { player, old } => Sentence::of(either("team_change", &["team_join"]), player)
            .with("old_team", spell_changed_side(dialect, *old))
            .with("new_team", spell_changed_side(dialect, player.side)),
        Deed::Spawn { player } if dialect == Dialect::Live => Sentence::of("player_spawn", player),
        Deed::Spawn { player } => Sentence::of(either("spawn", &["player_spawn", "player_respawn"]), player)
            .with("team", spell_side(dialect, player.side)),
        Deed::Fire { player, weapon, ammo } => {
            let counts = Counts::Shot { weapon: NamedWeapon { slug: weapon.slug, name: weapon.name } };
            Sentence::new("weapon_fire", vec![("player", player)], counts)
                .with("weapon", spell_weapon(dialect, weapon))
                .with("ammo_remaining", Value::Whole(i64::from(*ammo)))
        }
        Deed::Hit { player, target, hitloc } => {
            let location = match (dialect, hitloc.is_headshot()) {
                (Dialect::G1, true) => "head".into(),
                (Dialect::G1, false) => "torso".into(),
                _ => spell_hitloc(dialect, *hitloc),
            };
            Sentence::new("weapon_hit", vec![("player", player), ("target", target)], Counts::Hit)
                .with("hitloc", location)
        }
        Deed::Damage { attacker, victim, weapon, means, hitloc, amount } => {
            let named = Some(NamedWeapon { slug: weapon.slug, name: weapon.name });
            let counts = Counts::Damage { amount: *amount, weapon: if is_first { None } else { named } };
            let kind = either("damage", &["player_damage", "player_pain"]);
            let mut sentence = Sentence::new(kind, vec![("victim", victim), ("attacker", attacker)], counts);
            match dialect {
                Dialect::G1 => {
                    sentence.details.put("damage", Value::Whole(i64::from(*amount)));
                    sentence.details.put("weapon", Value::Whole(i64::from(means.number())));
                }
                Dialect::G2 => {
                    sentence.details.put("damage", Value::Measure(f64::from(*amount)));
                    sentence.details.put("inflictor", weapon.name);
                    sentence.details.put("hitlocation", spell_hitloc(dialect, *hitloc));
                    sentence.details.put("mod", Value::Whole(i64::from(means.number())));
                }
                Dialect::G3 | Dialect::Live | Dialect::Tools => {
                    sentence.details.put("weapon", spell_weapon(dialect, weapon));
                    sentence.details.put("damage", Value::Measure(f64::from(*amount)));
                    sentence.details.put("hitloc", spell_hitloc(dialect, *hitloc));
                    sentence.details.put("mod", means.word());
                }
            }
            sentence
        }
        Deed::Reload { player, weapon } => {
            Sentence::of(either("reload", &["weapon_reload", "weapon_reload_done"]), player)
                .with("weapon", spell_weapon(dialect, weapon))
        }
        Deed::WeaponChange { player, old, new } => Sentence::of("weapon_change", player)
            .with("old_weapon", old.map_or("none", |weapon| spell_weapon(dialect, weapon)))
            .with("new_weapon", spell_weapon(dialect, new)),
        Deed::GrenadeThrow { player, grenade } => {
            Sentence::of("grenade_throw", player).with("projectile", grenade.name)
        }
        Deed::GrenadeExplode { grenade } => {
            Sentence::bare("grenade_explode").with("projectile", grenade.name)
        }
        Deed::Jump { player, height } => {
            let kind = if dialect == Dialect::Live { "jump" } else { either("jump", &["player_jump"]) };
            Sentence::new(kind, vec![("player", player)], Counts::Jump)
                .with("jump_height", Value::Native(*height))
        }
        Deed::Land { player, height } => {
            Sentence::of(either("land", &["player_land"]), player).with("fall_height", Value::Native(*height))
        }
        Deed::Crouch { player } if dialect == Dialect::Live => Sentence::of("crouch", player),
        Deed::Crouch { player } => Sentence::of(either("crouch", &["player_crouch"]), player),
        Deed::Prone { player } => Sentence::of("prone", player),
        Deed::LadderMount { player } => Sentence::of("ladder_mount", player),
        Deed::LadderDismount { player } => Sentence::of("ladder_dismount", player),
        Deed::Distance { player, travelled, total } => {
            let kind = if dialect == Dialect::Live {
                "distance"
            } else {
                either("distance", &["player_distance", "player_movement"])
            };
            let units = |quarters: u32| Value::Native(f64::from(quarters) / 4.0);
            let counts = Counts::Distance { quarters: travelled.total() };
            let sentence = Sentence::new(kind, vec![("player", player)], counts);
            match dialect {
                // The first script has no field for swimming.
                Dialect::G1 => sentence
                    .with("walked", units(travelled.walked + travelled.swam))
                    .with("sprinted", units(travelled.sprinted))
                    .with("driven", units(travelled.driven)),
                Dialect::G2 | Dialect::Tools => sentence
                    .with("walked", units(travelled.walked))
                    .with("sprinted", units(travelled.sprinted))
                    .with("swam", units(travelled.swam))
                    .with("driven", units(travelled.driven)),
                Dialect::G3 => sentence
                    .with("distance", units(*total))
                    .with("walked", units(travelled.walked))
                    .with("sprinted", units(travelled.sprinted))
                    .with("swam", units(travelled.swam))
                    .with("total_distance", units(*total))
                    .with("delta_distance", units(travelled.total())),
                // Today's scripts call every way of moving walking.
                Dialect::Live => sentence
                    .with("distance", units(*total))
                    .with("walked", units(travelled.total()))
                    .with("total_distance", units(*total))
                    .with("delta_distance", units(travelled.total())),
            }
        }
        Deed::Chat { player, team_only, line } => {
            let sentence = Sentence::of(either("chat", &["player_say"]), player).with("message", *line);
            match dialect {
                Dialect::G1 => sentence,
                Dialect::Tools => sentence.with("team_only", Value::Flag(*team_only)),
                _ => sentence.with("is_team", Value::Count(i64::from(*team_only))),
            }
        }
        Deed::ItemPickup { player, item } => {
            let (item_key, amount_key) =
                if dialect == Dialect::G3 { ("item", "amount") } else { ("item_name", "count") };
            Sentence::of("item_pickup", player).with(item_key, *item).with(amount_key, Value::Whole(1))
        }
        Deed::ObjectiveCapture { player, objective } => Sentence::of("objective_capture", player)
            .with("objective_id", *objective)
            .with("capturing_team", spell_side(dialect, player.side)),
        Deed::Oddity { player, name } => {
            Sentence::of(name, player).with("unheard_of", Value::Whole(7)).with("colour", "field grey")
        }
    };
    Some(sentence)
}

/// The kill, and what scripts say besides for the same shot.
fn kill(dialect: Dialect, deed: &Deed, dice: &mut Dice) -> Vec<Sentence> {
    let Deed::Kill { attacker, victim, weapon, means, hitloc, game_type } = deed else { return Vec::new() };
    let is_self = attacker.as_ref().is_some_and(|attacker| attacker.slot == victim.slot);
    let is_same_team = attacker.as_ref().is_some_and(|attacker| attacker.side == victim.side);
    let named = weapon.map(|weapon| spell_killing_weapon(dialect, weapon));

    let mut blocks = Vec::new();
    blocks.extend(attacker.as_ref().map(|attacker| ("attacker", attacker)));
    blocks.push(("victim", victim));
    let kind = match dialect {
        Dialect::G1 => "kill",
        Dialect::G2 | Dialect::G3 | Dialect::Live => "player_kill",
        Dialect::Tools => *dice.pick(&["kill", "player_kill"]),
    };
    let mut main = Sentence::new(kind, blocks, Counts::Kill { head: hitloc.is_headshot(), weapon: named });
    // The killing blow's strength is a measure with decimals; no statistic adds it up.
    let blow = dice.between(40.0, 200.0);
    let name = named.map_or_else(|| means.word(), |weapon| weapon.name);
    match dialect {
        Dialect::G1 => {
            if attacker.is_none() {
                main.details.put("attacker_name", "world").put("attacker_guid", "world");
            }
            main.details.put("weapon", Value::Whole(i64::from(means.number())));
            main.details.put("hitloc", spell_hitloc(dialect, *hitloc));
            main.details.put("inflictor", if weapon.is_some() { name } else { "world" });
        }
        Dialect::G2 => {
            main.details.put("inflictor", if weapon.is_some() { name } else { "world" });
            main.details.put("hitlocation", spell_hitloc(dialect, *hitloc));
            main.details.put("mod", Value::Whole(i64::from(means.number())));
        }
        Dialect::G3 | Dialect::Live | Dialect::Tools => {
            let spelled = weapon
                .filter(|_| dialect == Dialect::Tools)
                .map_or(name, |weapon| spell_weapon(dialect, weapon));
            main.details.put("weapon", spelled);
            main.details.put("damage", Value::Measure(blow));
            main.details.put("hitloc", spell_hitloc(dialect, *hitloc));
            main.details.put("mod", means.word());
        }
    }

    let mut said = Vec::new();
    if let Some(attacker) = attacker.as_ref().filter(|_| hitloc.is_headshot() && !is_self) {
        let blocks = vec![("player", attacker), ("victim", victim)];
        said.push(Sentence::new("headshot", blocks, Counts::Nothing).with("weapon", name));
    }
    said.push(main);
    match (dialect, attacker.as_ref()) {
        (Dialect::G1, _) => said.push(Sentence::of("death", victim).with("inflictor", name)),
        (_, Some(_)) if is_self => said.push(Sentence::of("player_suicide", victim)),
        (_, Some(attacker)) if is_same_team && *game_type != GameType::FreeForAll => {
            let blocks = vec![("killer", attacker), ("victim", victim)];
            said.push(Sentence::new("player_teamkill", blocks, Counts::Nothing));
        }
        (_, Some(attacker)) if *means == Means::Bash => {
            let blocks = vec![("attacker", attacker), ("victim", victim)];
            said.push(Sentence::new("player_bash", blocks, Counts::Nothing));
        }
        _ => {}
    }
    said
}

pub fn spell_side(dialect: Dialect, side: Side) -> &'static str {
    match (side, dialect) {
        (Side::Spectator, _) => "spectator",
        (Side::Allies, Dialect::G3 | Dialect::Live) => "american",
        (Side::Axis, Dialect::G3 | Dialect::Live) => "german",
        (Side::Allies, _) => "allies",
        (Side::Axis, _) => "axis",
    }
}

/// The first scripts send a change of teams in the engine's numbers.
fn spell_changed_side(dialect: Dialect, side: Side) -> Value {
    match (dialect, side) {
        (Dialect::G1 | Dialect::G2, Side::Spectator) => Value::Whole(1),
        (Dialect::G1 | Dialect::G2, Side::Allies) => Value::Whole(3),
        (Dialect::G1 | Dialect::G2, Side::Axis) => Value::Whole(4),
        (_, side) => spell_side(dialect, side).into(),
    }
}

fn spell_hitloc(dialect: Dialect, hitloc: Hitloc) -> Value {
    match dialect {
        Dialect::G1 | Dialect::G2 => Value::Whole(i64::from(hitloc.number())),
        Dialect::G3 | Dialect::Live | Dialect::Tools => hitloc.word().into(),
    }
}

fn spell_game_type(dialect: Dialect, game_type: GameType) -> Value {
    match dialect {
        Dialect::Tools => match game_type {
            GameType::FreeForAll => "dm".into(),
            GameType::TeamDeathmatch => "tdm".into(),
            GameType::Rounds => "roundbased".into(),
            GameType::Objective => "obj".into(),
        },
        Dialect::G3 => game_type.number().to_string().into(),
        _ => Value::Whole(i64::from(game_type.number())),
    }
}

fn spell_weapon(dialect: Dialect, weapon: &Weapon) -> &'static str {
    if dialect == Dialect::Tools { weapon.tool_spelling } else { weapon.name }
}

/// The JSON scripts see only the blast that kills, not the grenade.
fn spell_killing_weapon(dialect: Dialect, weapon: &Weapon) -> NamedWeapon {
    match (dialect, weapon.means) {
        (Dialect::G3 | Dialect::Live, Means::Grenade) => NamedWeapon { slug: "explosion", name: "Explosion" },
        _ => NamedWeapon { slug: weapon.slug, name: weapon.name },
    }
}
