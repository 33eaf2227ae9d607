//! Every field name that any generation of script uses, and where its value goes.
//!
//! The names also tell form lines where a value ends, so those that are merely kept are listed too.

use crate::vocabulary::word_table::WordTable;

/// Which player a field speaks of, by the prefix of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// `player_`, and the names without prefix of the first scripts.
    Player,
    Attacker,
    Killer,
    Victim,
    Target,
    Bot,
}

/// One field of a player's block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Name,
    Guid,
    MemberId,
    Team,
    X,
    Y,
    Z,
    Pitch,
    Yaw,
    Stance,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Integer {
    ClientNum,
    RoundNumber,
    AlliesScore,
    AxisScore,
    PlayerCount,
    MaxClients,
    ShotsFired,
    ShotsHit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decimal {
    Damage,
    Duration,
    Walked,
    Sprinted,
    Swam,
    Driven,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Type,
    MatchId,
    SessionId,
    Timestamp,
    MatchToken,
    ServerToken,
    ClaimCode,
    Block(Role, Part),
    /// An object that holds a block (`player: {guid, name, smf_id, team}`).
    BlockObject(Role),
    /// Member id that `player_auth` repeats beside the block's.
    AuthMemberId,
    /// `team` and `capturing_team`: the player's, where the block doesn't say.
    PlainTeam,
    NewTeam,
    Weapon,
    NewWeapon,
    Inflictor,
    Hitloc,
    MeansOfDeath,
    /// Lower ranks are surer names of the map that is played.
    Map {
        rank: u8,
    },
    GameType,
    /// Lower ranks win over higher ones.
    Winner {
        rank: u8,
    },
    Item,
    Message,
    TeamOnly,
    Integer(Integer),
    Decimal(Decimal),
    Distance,
    TotalDistance,
    DeltaDistance,
    /// Number of players, where it is a number.
    Players,
    /// Has no place of its own and goes to `extra`.
    Kept,
    /// May not be stored.
    NeverKept,
}

impl Field {
    /// Whether a person or a map maker chose the text, which may then hold `&` and `=`.
    pub(super) fn is_free_text(self) -> bool {
        matches!(
            self,
            Field::Block(_, Part::Name)
                | Field::BlockObject(_)
                | Field::Weapon
                | Field::NewWeapon
                | Field::Inflictor
                | Field::Item
                | Field::Message
                | Field::Map { .. }
                | Field::Kept
                | Field::NeverKept
        )
    }
}

pub(super) fn find(name: &str) -> Option<(usize, Field)> {
    FIELDS.find(name)
}

/// The name that has this place, and what it stands for.
pub(super) fn at(place: usize) -> (&'static str, Field) {
    FIELDS.entries()[place]
}

/// The name of a field, as it came.
#[derive(Clone, Copy)]
pub(super) struct Key<'k> {
    pub(super) name: &'k str,
    /// One of the table's that may be stored: nothing in it has to be looked for again.
    pub(super) is_harmless: bool,
    /// It may speak of claiming or logging in.
    pub(super) may_speak_of_codes: bool,
}

impl<'k> Key<'k> {
    /// A name that the table has for `field`.
    pub(super) fn listed(name: &'k str, field: Field) -> Self {
        Self { name, is_harmless: field != Field::NeverKept, may_speak_of_codes: field == Field::ClaimCode }
    }

    /// Any name.
    pub(super) fn unlisted(name: &'k str) -> Self {
        Self { name, is_harmless: false, may_speak_of_codes: true }
    }
}

/// Part of a block that a name in a nested object stands for.
pub(super) fn find_part(name: &str) -> Option<Part> {
    let part = match name {
        "name" => Part::Name,
        "guid" => Part::Guid,
        "smf_id" | "member_id" => Part::MemberId,
        "team" => Part::Team,
        "x" => Part::X,
        "y" => Part::Y,
        "z" => Part::Z,
        "pitch" => Part::Pitch,
        "yaw" => Part::Yaw,
        "stance" => Part::Stance,
        _ => return None,
    };
    Some(part)
}

/// Declares the table: the names of a player's block for each prefix, then all others.
macro_rules! fields {
    (
        blocks { $($prefix:literal => $role:ident),* $(,)? }
        others { $($name:literal => $field:expr),* $(,)? }
    ) => {
        /// Number of names, the bound of the places that [`find`] gives.
        pub(super) const COUNT: usize = [
            $($prefix, $prefix, $prefix, $prefix, $prefix, $prefix, $prefix, $prefix, $prefix, $prefix, $prefix,)*
            $($name,)*
        ].len();

        static FIELDS: WordTable<Field, COUNT> = WordTable::new([
            $(
                (concat!($prefix, "_name"), Field::Block(Role::$role, Part::Name)),
                (concat!($prefix, "_guid"), Field::Block(Role::$role, Part::Guid)),
                (concat!($prefix, "_smf_id"), Field::Block(Role::$role, Part::MemberId)),
                (concat!($prefix, "_member_id"), Field::Block(Role::$role, Part::MemberId)),
                (concat!($prefix, "_team"), Field::Block(Role::$role, Part::Team)),
                (concat!($prefix, "_x"), Field::Block(Role::$role, Part::X)),
                (concat!($prefix, "_y"), Field::Block(Role::$role, Part::Y)),
                (concat!($prefix, "_z"), Field::Block(Role::$role, Part::Z)),
                (concat!($prefix, "_pitch"), Field::Block(Role::$role, Part::Pitch)),
                (concat!($prefix, "_yaw"), Field::Block(Role::$role, Part::Yaw)),
                (concat!($prefix, "_stance"), Field::Block(Role::$role, Part::Stance)),
            )*
            $(($name, $field),)*
        ]);
    };
}

fields! {
    blocks {
        "player" => Player, "attacker" => Attacker, "killer" => Killer, "victim" => Victim, "target" => Target,
    }
    others {
        "type" => Field::Type,
        "match_id" => Field::MatchId,
        "session_id" => Field::SessionId,
        "timestamp" => Field::Timestamp,
        "match_token" => Field::MatchToken,
        "server_token" => Field::ServerToken,
        "code" => Field::ClaimCode,
        "claim_code" => Field::ClaimCode,
        "player" => Field::BlockObject(Role::Player),
        "attacker" => Field::BlockObject(Role::Attacker),
        "killer" => Field::BlockObject(Role::Killer),
        "victim" => Field::BlockObject(Role::Victim),
        "target" => Field::BlockObject(Role::Target),
        "bot" => Field::BlockObject(Role::Bot),
        "pos_x" => Field::Block(Role::Player, Part::X),
        "pos_y" => Field::Block(Role::Player, Part::Y),
        "pos_z" => Field::Block(Role::Player, Part::Z),
        "aim_pitch" => Field::Block(Role::Player, Part::Pitch),
        "aim_yaw" => Field::Block(Role::Player, Part::Yaw),
        "smf_member_id" => Field::AuthMemberId,
        "team" => Field::PlainTeam,
        "capturing_team" => Field::PlainTeam,
        "new_team" => Field::NewTeam,
        "weapon" => Field::Weapon,
        "new_weapon" => Field::NewWeapon,
        "inflictor" => Field::Inflictor,
        "hitloc" => Field::Hitloc,
        "hitlocation" => Field::Hitloc,
        "mod" => Field::MeansOfDeath,
        "means_of_death" => Field::MeansOfDeath,
        "map_name" => Field::Map { rank: 0 },
        "map" => Field::Map { rank: 1 },
        "current_map" => Field::Map { rank: 2 },
        "to_map" => Field::Map { rank: 3 },
        "gametype" => Field::GameType,
        "game_type" => Field::GameType,
        "g_gametype" => Field::GameType,
        "winning_team" => Field::Winner { rank: 0 },
        "winner" => Field::Winner { rank: 1 },
        "teamnum" => Field::Winner { rank: 2 },
        "item" => Field::Item,
        "item_name" => Field::Item,
        "message" => Field::Message,
        "is_team" => Field::TeamOnly,
        "team_only" => Field::TeamOnly,
        "client_num" => Field::Integer(Integer::ClientNum),
        "round_number" => Field::Integer(Integer::RoundNumber),
        "allies_score" => Field::Integer(Integer::AlliesScore),
        "axis_score" => Field::Integer(Integer::AxisScore),
        "player_count" => Field::Integer(Integer::PlayerCount),
        "maxclients" => Field::Integer(Integer::MaxClients),
        "max_clients" => Field::Integer(Integer::MaxClients),
        "shots_fired" => Field::Integer(Integer::ShotsFired),
        "fired" => Field::Integer(Integer::ShotsFired),
        "shots_hit" => Field::Integer(Integer::ShotsHit),
        "hits" => Field::Integer(Integer::ShotsHit),
        "damage" => Field::Decimal(Decimal::Damage),
        "duration" => Field::Decimal(Decimal::Duration),
        "walked" => Field::Decimal(Decimal::Walked),
        "sprinted" => Field::Decimal(Decimal::Sprinted),
        "swam" => Field::Decimal(Decimal::Swam),
        "driven" => Field::Decimal(Decimal::Driven),
        "distance" => Field::Distance,
        "total_distance" => Field::TotalDistance,
        "delta_distance" => Field::DeltaDistance,
        "players" => Field::Players,
        "server_id" => Field::Kept,
        "ip" => Field::NeverKept,
        "player_ip" => Field::NeverKept,
        "address" => Field::NeverKept,
        "auth_token" => Field::NeverKept,
        "password" => Field::NeverKept,
        "timelimit" => Field::Kept,
        "fraglimit" => Field::Kept,
        "total_rounds" => Field::Kept,
        "old_team" => Field::Kept,
        "old_weapon" => Field::Kept,
        "projectile" => Field::Kept,
        "ammo_remaining" => Field::Kept,
        "ammo_count" => Field::Kept,
        "jump_height" => Field::Kept,
        "fall_height" => Field::Kept,
        "amount" => Field::Kept,
        "count" => Field::Kept,
        "yes_votes" => Field::Kept,
        "yes_count" => Field::Kept,
        "no_votes" => Field::Kept,
        "vote_type" => Field::Kept,
        "accuracy" => Field::Kept,
        "smf_member_name" => Field::Kept,
        "objective_id" => Field::Kept,
        "cpu_usage" => Field::Kept,
    }
}

#[cfg(test)]
mod tests {
    use super::{FIELDS, Field, Key};
    use crate::claim::speaks_of_codes;
    use crate::wire::{extra, hidden};

    #[test]
    fn only_names_of_what_may_be_stored_are_called_harmless() {
        for (name, field) in FIELDS.entries() {
            let is_handed_over = matches!(field, Field::MatchToken | Field::ServerToken);
            let is_harmless = !extra::is_secret(name) && hidden::without_secrets(name).is_none();
            assert_eq!(is_harmless, *field != Field::NeverKept && !is_handed_over, "{name}");
        }
    }

    #[test]
    fn only_names_of_codes_speak_of_codes() {
        for (name, field) in FIELDS.entries() {
            assert!(Key::listed(name, *field).may_speak_of_codes || !speaks_of_codes(name), "{name}");
        }
    }
}
