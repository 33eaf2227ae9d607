//! The field's closed vocabularies: event types, teams, game types, kinds of kill, hit locations and means of
//! death, each with the spellings that servers use.

pub(crate) mod word_table;

use word_table::WordTable;

/// Declares an enum whose variants are stored and shown as fixed words.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$variant_meta])* $variant),* }

        impl $name {
            /// Every variant, in order of declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];

            /// The word that stands for this variant in storage and answers.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => $word),* }
            }

            /// The variant that this exact word stands for.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some($name::$variant),)* _ => None }
            }
        }
    };
}

words! {
    /// Canonical event types: the 25 that every statistic knows, then those that are stored under their own name.
    EventType {
        /// A type that nobody listed: stored under the name it came with.
        #[default] Other = "other",
        MatchStart = "match_start", MatchEnd = "match_end", RoundStart = "round_start", RoundEnd = "round_end",
        Heartbeat = "heartbeat", Kill = "kill", Death = "death", Damage = "damage", WeaponFire = "weapon_fire",
        WeaponHit = "weapon_hit", Headshot = "headshot", Reload = "reload", WeaponChange = "weapon_change",
        GrenadeThrow = "grenade_throw", GrenadeExplode = "grenade_explode", Jump = "jump", Land = "land",
        Crouch = "crouch", Prone = "prone", Distance = "distance", Connect = "connect", Disconnect = "disconnect",
        Spawn = "spawn", TeamChange = "team_change", Chat = "chat",
        PlayerSuicide = "player_suicide", PlayerTeamkill = "player_teamkill", PlayerBash = "player_bash",
        PlayerRoadkill = "player_roadkill", PlayerCrushed = "player_crushed",
        PlayerTelefragged = "player_telefragged", PlayerStand = "player_stand",
        PlayerSpectate = "player_spectate", PlayerAuth = "player_auth", WeaponNoAmmo = "weapon_no_ammo",
        WeaponDrop = "weapon_drop", AccuracySummary = "accuracy_summary", ItemPickup = "item_pickup",
        ItemDrop = "item_drop", HealthPickup = "health_pickup", AmmoPickup = "ammo_pickup",
        ArmorPickup = "armor_pickup", ObjectiveUpdate = "objective_update",
        ObjectiveCapture = "objective_capture", TeamWin = "team_win", ScoreChange = "score_change",
        VoteStart = "vote_start", VotePassed = "vote_passed", VoteFailed = "vote_failed", MapInit = "map_init",
        MapStart = "map_start", MapReady = "map_ready", MapShutdown = "map_shutdown",
        MapChangeStart = "map_change_start", MapRestart = "map_restart", WarmupStart = "warmup_start",
        WarmupEnd = "warmup_end", IntermissionStart = "intermission_start", GameInit = "game_init",
        GameStart = "game_start", GameEnd = "game_end", LadderMount = "ladder_mount",
        LadderDismount = "ladder_dismount", DoorOpen = "door_open", DoorClose = "door_close",
        Explosion = "explosion", BotSpawn = "bot_spawn", BotKilled = "bot_killed", ActorSpawn = "actor_spawn",
        ActorKilled = "actor_killed", IdentityClaim = "identity_claim",
    }
}

words! {
    /// A side, or a state beside the sides.
    Team {
        #[default] Unknown = "", None = "none", Spectator = "spectator", FreeForAll = "freeforall",
        Allies = "allies", Axis = "axis",
    }
}

words! {
    /// The game's mode (cvar `g_gametype`).
    GameType {
        #[default] Unknown = "", Single = "single", FreeForAll = "ffa", TeamDeathmatch = "tdm", Rounds = "rounds",
        Objective = "objective", TugOfWar = "tow", Liberation = "liberation",
    }
}

words! {
    /// What a kill event counts as. Only `Kill` scores for the attacker; each is one death of its victim.
    KillKind {
        /// Not a kill event.
        #[default] None = "", Kill = "kill", Suicide = "suicide", TeamKill = "team_kill", World = "world",
    }
}

/// Names that servers use for canonical types. Lower-case, like the canonical words: exact spelling is looked up
/// first, then without regard to case (`player_textMessage`).
const EVENT_TYPE_ALIASES: [(&str, EventType); 20] = [
    ("player_kill", EventType::Kill),
    ("player_damage", EventType::Damage),
    ("player_pain", EventType::Damage),
    ("weapon_reload", EventType::Reload),
    ("weapon_reload_done", EventType::Reload),
    ("player_spawn", EventType::Spawn),
    ("player_respawn", EventType::Spawn),
    ("client_begin", EventType::Spawn),
    ("team_join", EventType::TeamChange),
    ("player_connect", EventType::Connect),
    ("player_connected", EventType::Connect),
    ("player_disconnect", EventType::Disconnect),
    ("player_disconnecting", EventType::Disconnect),
    ("player_say", EventType::Chat),
    ("player_textmessage", EventType::Chat),
    ("player_distance", EventType::Distance),
    ("player_movement", EventType::Distance),
    ("player_jump", EventType::Jump),
    ("player_land", EventType::Land),
    ("player_crouch", EventType::Crouch),
];

const EVENT_TYPE_WORDS: usize = EventType::ALL.len() + EVENT_TYPE_ALIASES.len();

static EVENT_TYPES: WordTable<EventType, EVENT_TYPE_WORDS> = {
    let mut words = [("", EventType::Other); EVENT_TYPE_WORDS];
    let mut index = 0;
    while index < EventType::ALL.len() {
        words[index] = (EventType::ALL[index].as_str(), EventType::ALL[index]);
        index += 1;
    }
    let mut alias = 0;
    while alias < EVENT_TYPE_ALIASES.len() {
        words[index + alias] = EVENT_TYPE_ALIASES[alias];
        alias += 1;
    }
    WordTable::new(words)
};

impl EventType {
    /// The 25 that every statistic knows: those that a server's script should send.
    pub const CANONICAL: &'static [EventType] = EventType::ALL.split_at(26).0.split_at(1).1;

    /// The canonical type that a server's name for it means; `Other` for a name that nobody listed.
    pub fn parse(name: &str) -> Self {
        if let Some((_, event_type)) = EVENT_TYPES.find(name) {
            return event_type;
        }
        if !name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return EventType::Other;
        }
        EVENT_TYPES.find(&name.to_ascii_lowercase()).map_or(EventType::Other, |(_, event_type)| event_type)
    }
}

impl Team {
    /// The team that a server's word or number for it means, whatever the case of the word.
    pub fn parse(text: &str) -> Option<Self> {
        /// In the order of the engine's numbers.
        const NUMBERED: [Team; 5] = [Team::None, Team::Spectator, Team::FreeForAll, Team::Allies, Team::Axis];
        const WORDS: [(&str, Team); 7] = [
            ("american", Team::Allies),
            ("german", Team::Axis),
            ("allies", Team::Allies),
            ("axis", Team::Axis),
            ("spectator", Team::Spectator),
            ("freeforall", Team::FreeForAll),
            ("none", Team::None),
        ];
        find_word(&WORDS, text).or_else(|| find_number(&NUMBERED, text))
    }

    /// Who won, by a server's word or number for it: a team, or [`Team::None`] for a draw.
    pub fn parse_winner(text: &str) -> Option<Self> {
        const DRAW: [&str; 6] = ["draw", "tie", "tied", "stalemate", "nobody", "no_one"];
        let is_draw = DRAW.iter().any(|word| word.eq_ignore_ascii_case(text));
        if is_draw { Some(Team::None) } else { Team::parse(text) }
    }
}

impl GameType {
    /// The game type that a value of `g_gametype` or a word for it means, whatever the case of the word.
    pub fn parse(text: &str) -> Option<Self> {
        /// In the order of the engine's numbers.
        const NUMBERED: [GameType; 7] = [
            GameType::Single,
            GameType::FreeForAll,
            GameType::TeamDeathmatch,
            GameType::Rounds,
            GameType::Objective,
            GameType::TugOfWar,
            GameType::Liberation,
        ];
        const WORDS: [(&str, GameType); 12] = [
            ("single", GameType::Single),
            ("dm", GameType::FreeForAll),
            ("ffa", GameType::FreeForAll),
            ("tdm", GameType::TeamDeathmatch),
            ("rb", GameType::Rounds),
            ("roundbased", GameType::Rounds),
            ("rounds", GameType::Rounds),
            ("obj", GameType::Objective),
            ("objective", GameType::Objective),
            ("tow", GameType::TugOfWar),
            ("lib", GameType::Liberation),
            ("liberation", GameType::Liberation),
        ];
        find_word(&WORDS, text).or_else(|| find_number(&NUMBERED, text))
    }
}

fn find_word<T: Copy>(words: &[(&str, T)], text: &str) -> Option<T> {
    words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|&(_, value)| value)
}

fn find_number<T: Copy>(numbered: &[T], text: &str) -> Option<T> {
    numbered.get(usize::try_from(whole_number(text)?).ok()?).copied()
}

/// Hit locations in the engine's order: the first is its number −2, the last its 18.
pub const HIT_LOCATIONS: [&str; 21] = [
    "miss",
    "general",
    "head",
    "helmet",
    "neck",
    "torso_upper",
    "torso_mid",
    "torso_lower",
    "pelvis",
    "r_arm_upper",
    "l_arm_upper",
    "r_leg_upper",
    "l_leg_upper",
    "r_arm_lower",
    "l_arm_lower",
    "r_leg_lower",
    "l_leg_lower",
    "r_hand",
    "l_hand",
    "r_foot",
    "l_foot",
];

/// Means of death in the engine's order: the place is the engine's number.
pub const MEANS_OF_DEATH: [&str; 30] = [
    "none",
    "suicide",
    "crush",
    "crush_every_frame",
    "telefrag",
    "lava",
    "slime",
    "falling",
    "last_self_inflicted",
    "explosion",
    "explodewall",
    "electric",
    "electricwater",
    "thrownobject",
    "grenade",
    "beam",
    "rocket",
    "impact",
    "bullet",
    "fast_bullet",
    "vehicle",
    "fire",
    "flashbang",
    "on_fire",
    "gib",
    "impale",
    "bash",
    "shotgun",
    "aagun",
    "landmine",
];

/// The engine's name for a hit location given by name or number; `None` for words that are not the engine's.
pub fn hit_location(text: &str) -> Option<&'static str> {
    match small_number(text) {
        Some(number) => HIT_LOCATIONS.get(usize::try_from(number + 2).ok()?).copied(),
        None => HIT_LOCATIONS.iter().find(|name| name.eq_ignore_ascii_case(text)).copied(),
    }
}

/// The engine's name for a means of death given by name, by name with the prefix `MOD_` of its source, or by
/// number; `None` for words that are not the engine's.
pub fn means_of_death(text: &str) -> Option<&'static str> {
    if let Some(number) = small_number(text) {
        return MEANS_OF_DEATH.get(usize::try_from(number).ok()?).copied();
    }
    let name = match text.split_at_checked(4) {
        Some((prefix, name)) if prefix.eq_ignore_ascii_case("mod_") => name,
        _ => text,
    };
    MEANS_OF_DEATH.iter().find(|canonical| canonical.eq_ignore_ascii_case(name)).copied()
}

/// As [`whole_number`], for texts that are mostly words.
fn small_number(text: &str) -> Option<i32> {
    let is_word = text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
    if is_word { None } else { whole_number(text) }
}

/// The small whole number that a text spells, also as scripts format it (`18`, `-1`, `18.000`).
pub(crate) fn whole_number(text: &str) -> Option<i32> {
    let (digits, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if !fraction.bytes().all(|byte| byte == b'0') {
        return None;
    }
    let number: i32 = digits.parse().ok()?;
    (-100_000..=100_000).contains(&number).then_some(number)
}
