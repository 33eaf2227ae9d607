//! Bodies of the third script generation read by serde_json, and of the second by form_urlencoded, into the same [`Event`]s as by
//! the service's own decoder.
//!
//! It does no more than that: fields without a place of their own are passed over instead of kept in
//! [`Event::extra`], nothing is repaired and no other generation is understood. So it is a lower bound of what
//! decoding costs, not a replacement.

use std::fmt;

use compact_str::{ToCompactString, format_compact};
use mohaa_domain::event::{Event, SecretText, Text};
use mohaa_domain::vocabulary::{EventType, GameType, Team, hit_location, means_of_death};
use serde::de::value::MapDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

/// The events of a body: a JSON array of objects.
///
/// # Errors
/// When it is anything else.
pub fn events_of(body: &[u8]) -> Result<Vec<Event>, serde_json::Error> {
    let events: Vec<MirroredEvent> = serde_json::from_slice(body)?;
    Ok(events.into_iter().map(|mirrored| mirrored.0).collect())
}

/// The events of a body of form lines, one a line.
///
/// # Errors
/// When a line has no type, or a value is of another kind than its field.
pub fn events_of_forms(body: &[u8]) -> Result<Vec<Event>, FormError> {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(event_of_form).collect()
}

/// The event of one form line.
///
/// # Errors
/// As of [`events_of_forms`].
pub fn event_of_form(line: &[u8]) -> Result<Event, FormError> {
    let fields = MapDeserializer::new(url::form_urlencoded::parse(line));
    Ok(MirroredEvent::deserialize(fields)?.0)
}

/// Why a form is no event.
pub type FormError = serde::de::value::Error;

struct MirroredEvent(Event);

macro_rules! keys {
    ($($variant:ident)*) => {
        #[derive(serde::Deserialize)]
        #[serde(field_identifier, rename_all = "snake_case")]
        enum Key {
            $($variant,)*
            #[serde(other)]
            Unlisted,
        }
    };
}

keys! {
    Type MatchId SessionId Timestamp MatchToken
    PlayerName PlayerGuid PlayerSmfId PlayerTeam PlayerX PlayerY PlayerZ PlayerPitch PlayerYaw PlayerStance
    AttackerName AttackerGuid AttackerSmfId AttackerTeam AttackerX AttackerY AttackerZ AttackerPitch AttackerYaw
    AttackerStance
    VictimName VictimGuid VictimSmfId VictimTeam VictimX VictimY VictimZ VictimPitch VictimYaw VictimStance
    Weapon NewWeapon Inflictor Damage Hitloc Hitlocation Mod MapName Gametype Item Message TeamOnly ClientNum RoundNumber
    AlliesScore AxisScore WinningTeam PlayerCount Maxclients Duration Walked Sprinted Swam Driven Fired Hits
}

impl<'de> Deserialize<'de> for MirroredEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EventVisitor)
    }
}

struct EventVisitor;

impl<'de> Visitor<'de> for EventVisitor {
    type Value = MirroredEvent;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<MirroredEvent, A::Error> {
        let mut event = Event::default();
        let mut new_weapon = Text::default();
        // `player` and `attacker` never come together in these bodies.
        while let Some(key) = fields.next_key::<Key>()? {
            match key {
                Key::Type => event.source_type = fields.next_value::<Word>()?.0,
                Key::MatchId => event.source_match_id = fields.next_value::<Word>()?.unless("no_match"),
                Key::SessionId => event.session_id = fields.next_value::<Word>()?.0,
                Key::Timestamp => event.level_time = fields.next_value::<Number>()?.0,
                Key::MatchToken => {
                    event.match_token = SecretText::from(fields.next_value::<Word>()?.0.as_str());
                }
                Key::PlayerName | Key::AttackerName => event.player.name = fields.next_value::<Word>()?.0,
                Key::PlayerGuid | Key::AttackerGuid => event.player.guid = fields.next_value::<Word>()?.0,
                Key::PlayerSmfId | Key::AttackerSmfId => {
                    event.player.member_id = fields.next_value::<Word>()?.unless("0");
                }
                Key::PlayerTeam | Key::AttackerTeam => event.player.team = team(&mut fields)?,
                Key::PlayerX | Key::AttackerX => event.player.x = decimal(&mut fields)?,
                Key::PlayerY | Key::AttackerY => event.player.y = decimal(&mut fields)?,
                Key::PlayerZ | Key::AttackerZ => event.player.z = decimal(&mut fields)?,
                Key::PlayerPitch | Key::AttackerPitch => event.player.pitch = decimal(&mut fields)?,
                Key::PlayerYaw | Key::AttackerYaw => event.player.yaw = decimal(&mut fields)?,
                Key::PlayerStance | Key::AttackerStance => {
                    event.player.stance = fields.next_value::<Word>()?.0;
                }
                Key::VictimName => event.target.name = fields.next_value::<Word>()?.0,
                Key::VictimGuid => event.target.guid = fields.next_value::<Word>()?.0,
                Key::VictimSmfId => event.target.member_id = fields.next_value::<Word>()?.unless("0"),
                Key::VictimTeam => event.target.team = team(&mut fields)?,
                Key::VictimX => event.target.x = decimal(&mut fields)?,
                Key::VictimY => event.target.y = decimal(&mut fields)?,
                Key::VictimZ => event.target.z = decimal(&mut fields)?,
                Key::VictimPitch => event.target.pitch = decimal(&mut fields)?,
                Key::VictimYaw => event.target.yaw = decimal(&mut fields)?,
                Key::VictimStance => event.target.stance = fields.next_value::<Word>()?.0,
                Key::Weapon => event.weapon_name = fields.next_value::<Word>()?.0,
                Key::NewWeapon => new_weapon = fields.next_value::<Word>()?.0,
                Key::Inflictor => event.inflictor = fields.next_value::<Word>()?.0,
                Key::Damage => event.damage = decimal(&mut fields)?,
                Key::Hitloc | Key::Hitlocation => {
                    event.hitloc = fields.next_value::<Word>()?.canonical(hit_location)
                }
                Key::Mod => event.means_of_death = fields.next_value::<Word>()?.canonical(means_of_death),
                Key::MapName => event.map_name = fields.next_value::<Word>()?.0,
                Key::Gametype => {
                    event.game_type = GameType::parse(&fields.next_value::<Word>()?.0).unwrap_or_default();
                }
                Key::Item => event.item = fields.next_value::<Word>()?.0,
                Key::Message => event.message = fields.next_value::<Word>()?.0,
                Key::TeamOnly => {
                    event.team_only = fields.next_value::<Number>()?.0.map(|number| number != 0.0);
                }
                Key::ClientNum => event.client_num = integer(&mut fields)?,
                Key::RoundNumber => event.round_number = integer(&mut fields)?,
                Key::AlliesScore => event.allies_score = integer(&mut fields)?,
                Key::AxisScore => event.axis_score = integer(&mut fields)?,
                Key::WinningTeam => event.winning_team = team(&mut fields)?,
                Key::PlayerCount => event.player_count = integer(&mut fields)?,
                Key::Maxclients => event.max_clients = integer(&mut fields)?,
                Key::Duration => event.duration = decimal(&mut fields)?,
                Key::Walked => event.walked = decimal(&mut fields)?,
                Key::Sprinted => event.sprinted = decimal(&mut fields)?,
                Key::Swam => event.swam = decimal(&mut fields)?,
                Key::Driven => event.driven = decimal(&mut fields)?,
                Key::Fired => event.shots_fired = integer(&mut fields)?,
                Key::Hits => event.shots_hit = integer(&mut fields)?,
                Key::Unlisted => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        if event.source_type.is_empty() {
            return Err(A::Error::missing_field("type"));
        }
        event.event_type = EventType::parse(&event.source_type);
        if event.weapon_name.is_empty() {
            event.weapon_name = if new_weapon.is_empty() { event.inflictor.clone() } else { new_weapon };
        }
        Ok(MirroredEvent(event))
    }
}

fn team<'de, A: MapAccess<'de>>(fields: &mut A) -> Result<Team, A::Error> {
    Ok(Team::parse(&fields.next_value::<Word>()?.0).unwrap_or_default())
}

fn decimal<'de, A: MapAccess<'de>>(fields: &mut A) -> Result<Option<f32>, A::Error> {
    // Adding nothing turns −0 into 0, as the events have it.
    Ok(fields.next_value::<Number>()?.0.map(|number| number as f32 + 0.0))
}

fn integer<'de, A: MapAccess<'de>>(fields: &mut A) -> Result<Option<i32>, A::Error> {
    Ok(fields.next_value::<Number>()?.0.map(|number| number as i32))
}

/// Text, or a number or flag as its text.
struct Word(Text);

impl Word {
    fn unless(self, placeholder: &str) -> Text {
        if self.0 == placeholder { Text::default() } else { self.0 }
    }

    fn canonical(self, canonical_name: fn(&str) -> Option<&'static str>) -> Text {
        canonical_name(&self.0).map_or(self.0, Text::const_new)
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordVisitor;
        impl Visitor<'_> for WordVisitor {
            type Value = Word;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("text, a number or a flag")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Word, E> {
                Ok(Word(Text::new(text)))
            }
            fn visit_bool<E: Error>(self, flag: bool) -> Result<Word, E> {
                Ok(Word(flag.to_compact_string()))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Word, E> {
                Ok(Word(number.to_compact_string()))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Word, E> {
                Ok(Word(number.to_compact_string()))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Word, E> {
                Ok(Word(format_compact!("{number}")))
            }
            fn visit_unit<E: Error>(self) -> Result<Word, E> {
                Ok(Word(Text::default()))
            }
        }
        deserializer.deserialize_any(WordVisitor)
    }
}

/// A number, or text that spells one.
struct Number(Option<f64>);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberVisitor;
        impl Visitor<'_> for NumberVisitor {
            type Value = Number;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a number or its text")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
                Ok(Number(text.parse().ok().filter(|number: &f64| number.is_finite())))
            }
            fn visit_bool<E: Error>(self, flag: bool) -> Result<Number, E> {
                Ok(Number(Some(f64::from(flag))))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(Some(number as f64)))
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Number, E> {
                Ok(Number(Some(number as f64)))
            }
            fn visit_f64<E: Error>(self, number: f64) -> Result<Number, E> {
                Ok(Number(Some(number)))
            }
            fn visit_unit<E: Error>(self) -> Result<Number, E> {
                Ok(Number(None))
            }
        }
        deserializer.deserialize_any(NumberVisitor)
    }
}
