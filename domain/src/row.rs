//! The one binary form of a stamped event: a row of `raw_events` in ClickHouse's RowBinary encoding.
//!
//! The spool keeps rows in this form and the writers send them unchanged (each preceded by its batch id), so an
//! event is encoded once in its life. Live state and the tracker read it back with [`decode`] after a restart.
//!
//! Columns are only ever **appended** to [`COLUMNS`]. A spool record therefore needs to say no more than how many
//! columns its rows have: an older record is inserted with the shorter column list and the new columns take
//! their defaults.

use uuid::Uuid;

use crate::event::{Event, Millis, Stamp, Text};
use crate::vocabulary::{EventType, GameType, KillKind, Team};

/// A row could not be read back.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RowError {
    #[error("row ends inside column {column}")]
    Truncated { column: &'static str },
    #[error("column {column} holds an invalid value")]
    Invalid { column: &'static str },
    #[error("row has {found} columns, this version knows {known}")]
    TooManyColumns { found: usize, known: usize },
    #[error("{bytes} bytes are left after the last column")]
    TrailingBytes { bytes: usize },
}

/// Name and ClickHouse type of one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnDefinition {
    pub name: &'static str,
    pub sql_type: &'static str,
}

enum ReadError {
    Truncated,
    Invalid,
}

/// A value that can be written in RowBinary.
trait Put {
    fn put(&self, out: &mut Vec<u8>);
}

/// A value that can be read from RowBinary.
trait Take: Sized {
    fn take(input: &mut &[u8]) -> Result<Self, ReadError>;
}

/// What [`encode`] writes from. The type's name stands apart because it comes from two fields of the event.
struct RowReference<'a> {
    type_name: &'a str,
    event: &'a Event,
    stamp: &'a Stamp,
}

#[derive(Default)]
struct Row {
    type_name: Text,
    event: Event,
    stamp: Stamp,
}

macro_rules! columns {
    ($($name:literal $sql_type:literal = $($path:ident).+;)*) => {
        /// The columns of `raw_events` that an encoded row fills, in order. `batch_id` stands before them.
        pub const COLUMNS: &[ColumnDefinition] = &[$(ColumnDefinition { name: $name, sql_type: $sql_type }),*];

        /// Appends the row of one stamped event to `out`.
        pub fn encode(event: &Event, stamp: &Stamp, out: &mut Vec<u8>) {
            let type_name = match event.event_type {
                EventType::Other => event.source_type.as_str(),
                listed => listed.as_str(),
            };
            let row = RowReference { type_name, event, stamp };
            $(row.$($path).+.put(out);)*
        }

        /// Reads a row of `column_count` columns back; columns it does not have keep their defaults.
        ///
        /// # Errors
        /// When the bytes are not exactly one such row.
        pub fn decode(mut input: &[u8], column_count: usize) -> Result<(Event, Stamp), RowError> {
            let row = take(&mut input, column_count)?;
            match input.len() {
                0 => Ok(row),
                bytes => Err(RowError::TrailingBytes { bytes }),
            }
        }

        /// Reads the row at the beginning of `input` and moves on behind it.
        ///
        /// # Errors
        /// When the bytes do not begin with such a row.
        pub fn take(input: &mut &[u8], column_count: usize) -> Result<(Event, Stamp), RowError> {
            if column_count > COLUMNS.len() {
                return Err(RowError::TooManyColumns { found: column_count, known: COLUMNS.len() });
            }
            let mut row = Row::default();
            let mut columns_left = column_count;
            $(
                if columns_left > 0 {
                    row.$($path).+ = Take::take(input).map_err(|error| match error {
                        ReadError::Truncated => RowError::Truncated { column: $name },
                        ReadError::Invalid => RowError::Invalid { column: $name },
                    })?;
                    columns_left -= 1;
                }
            )*
            debug_assert_eq!(columns_left, 0);
            row.event.event_type = EventType::from_word(&row.type_name).unwrap_or_default();
            Ok((row.event, row.stamp))
        }
    };
}

columns! {
    "received_at" "DateTime64(3, 'UTC')" = stamp.received_at;
    "event_at" "DateTime64(3, 'UTC')" = stamp.event_at;
    "sent_at" "Nullable(DateTime64(3, 'UTC'))" = event.sent_at;
    "level_time" "Nullable(Float64)" = event.level_time;
    "server_id" "UUID" = stamp.server_id;
    "match_id" "UUID" = stamp.match_id;
    "source_match_id" "String" = event.source_match_id;
    "session_id" "String" = event.session_id;
    "type" "LowCardinality(String)" = type_name;
    "source_type" "LowCardinality(String)" = event.source_type;
    "map_name" "LowCardinality(String)" = stamp.map_name;
    "gametype" "LowCardinality(String)" = stamp.game_type;
    "source_map_name" "LowCardinality(String)" = event.map_name;
    "source_gametype" "LowCardinality(String)" = event.game_type;
    "kill_kind" "LowCardinality(String)" = stamp.kill_kind;
    "is_headshot" "Bool" = stamp.headshot;
    "is_hostile" "Bool" = stamp.hostile;
    "player_id" "String" = stamp.player_id;
    "player_name" "String" = event.player.name;
    "player_guid" "String" = event.player.guid;
    "player_member_id" "String" = event.player.member_id;
    "player_team" "LowCardinality(String)" = stamp.player_team;
    "player_source_team" "LowCardinality(String)" = event.player.team;
    "player_bot" "Bool" = stamp.player_bot;
    "player_x" "Nullable(Float32)" = event.player.x;
    "player_y" "Nullable(Float32)" = event.player.y;
    "player_z" "Nullable(Float32)" = event.player.z;
    "player_pitch" "Nullable(Float32)" = event.player.pitch;
    "player_yaw" "Nullable(Float32)" = event.player.yaw;
    "player_stance" "LowCardinality(String)" = event.player.stance;
    "target_id" "String" = stamp.target_id;
    "target_name" "String" = event.target.name;
    "target_guid" "String" = event.target.guid;
    "target_member_id" "String" = event.target.member_id;
    "target_team" "LowCardinality(String)" = stamp.target_team;
    "target_source_team" "LowCardinality(String)" = event.target.team;
    "target_bot" "Bool" = stamp.target_bot;
    "target_x" "Nullable(Float32)" = event.target.x;
    "target_y" "Nullable(Float32)" = event.target.y;
    "target_z" "Nullable(Float32)" = event.target.z;
    "target_pitch" "Nullable(Float32)" = event.target.pitch;
    "target_yaw" "Nullable(Float32)" = event.target.yaw;
    "target_stance" "LowCardinality(String)" = event.target.stance;
    "client_num" "Nullable(Int32)" = event.client_num;
    "weapon" "LowCardinality(String)" = stamp.weapon;
    "weapon_name" "LowCardinality(String)" = event.weapon_name;
    "hitloc" "LowCardinality(String)" = event.hitloc;
    "means_of_death" "LowCardinality(String)" = event.means_of_death;
    "inflictor" "LowCardinality(String)" = event.inflictor;
    "damage" "Nullable(Float32)" = event.damage;
    "item" "LowCardinality(String)" = event.item;
    "message" "String" = event.message;
    "team_only" "Nullable(Bool)" = event.team_only;
    "round_number" "Nullable(Int32)" = event.round_number;
    "allies_score" "Nullable(Int32)" = event.allies_score;
    "axis_score" "Nullable(Int32)" = event.axis_score;
    "winning_team" "LowCardinality(String)" = event.winning_team;
    "player_count" "Nullable(Int32)" = event.player_count;
    "max_clients" "Nullable(Int32)" = event.max_clients;
    "duration" "Nullable(Float32)" = event.duration;
    "walked" "Nullable(Float32)" = event.walked;
    "sprinted" "Nullable(Float32)" = event.sprinted;
    "swam" "Nullable(Float32)" = event.swam;
    "driven" "Nullable(Float32)" = event.driven;
    "shots_fired" "Nullable(Int32)" = event.shots_fired;
    "shots_hit" "Nullable(Int32)" = event.shots_hit;
    "extra" "String" = event.extra;
    "idempotency_key" "String" = stamp.idempotency_key;
    "spool_seq" "UInt64" = stamp.spool_seq;
    "spool_index" "UInt32" = stamp.spool_index;
}

fn take_bytes<'a>(input: &mut &'a [u8], length: usize) -> Result<&'a [u8], ReadError> {
    let (taken, rest) = input.split_at_checked(length).ok_or(ReadError::Truncated)?;
    *input = rest;
    Ok(taken)
}

fn take_array<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], ReadError> {
    let (taken, rest) = input.split_first_chunk::<N>().ok_or(ReadError::Truncated)?;
    *input = rest;
    Ok(*taken)
}

/// Strings are preceded by their length in bytes as an unsigned LEB128.
fn put_text(text: &str, out: &mut Vec<u8>) {
    // Of thirty texts most events have ten.
    if text.is_empty() {
        return out.push(0);
    }
    let mut length = text.len();
    while length >= 0x80 {
        out.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(text.as_bytes());
}

fn take_text<'a>(input: &mut &'a [u8]) -> Result<&'a str, ReadError> {
    let mut length = 0_usize;
    for shift in (0..35).step_by(7) {
        let [byte] = take_array(input)?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            let bytes = take_bytes(input, length)?;
            return std::str::from_utf8(bytes).map_err(|_| ReadError::Invalid);
        }
    }
    Err(ReadError::Invalid)
}

impl Put for &str {
    fn put(&self, out: &mut Vec<u8>) {
        put_text(self, out);
    }
}

macro_rules! text_values {
    ($($type:ty),*) => {$(
        impl Put for $type {
            fn put(&self, out: &mut Vec<u8>) {
                put_text(self, out);
            }
        }
        impl Take for $type {
            fn take(input: &mut &[u8]) -> Result<Self, ReadError> {
                take_text(input).map(<$type>::from)
            }
        }
    )*};
}
text_values!(Text, String);

macro_rules! word_values {
    ($($type:ty),*) => {$(
        impl Put for $type {
            fn put(&self, out: &mut Vec<u8>) {
                put_text(self.as_str(), out);
            }
        }
        impl Take for $type {
            fn take(input: &mut &[u8]) -> Result<Self, ReadError> {
                <$type>::from_word(take_text(input)?).ok_or(ReadError::Invalid)
            }
        }
    )*};
}
word_values!(Team, GameType, KillKind);

macro_rules! number_values {
    ($($type:ty),*) => {$(
        impl Put for $type {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
        impl Take for $type {
            fn take(input: &mut &[u8]) -> Result<Self, ReadError> {
                take_array(input).map(<$type>::from_le_bytes)
            }
        }
    )*};
}
number_values!(f32, f64, i32, u32, u64);

impl Put for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

impl Take for bool {
    fn take(input: &mut &[u8]) -> Result<Self, ReadError> {
        match take_array(input)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(ReadError::Invalid),
        }
    }
}

impl Put for Millis {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_le_bytes());
    }
}

impl Take for Millis {
    fn take(input: &mut &[u8]) -> Result<Self, ReadError> {
        take_array(input).map(|bytes| Millis(i64::from_le_bytes(bytes)))
    }
}

/// A UUID is two 64-bit halves, the high one first, each little-endian.
impl Put for Uuid {
    fn put(&self, out: &mut Vec<u8>) {
        let (high, low) = self.as_u64_pair();
        out.extend_from_slice(&high.to_le_bytes());
        out.extend_from_slice(&low.to_le_bytes());
    }
}

impl Take for Uuid {
    fn take(input: &mut &[u8]) -> Result<Self, ReadError> {
        let high = u64::from_le_bytes(take_array(input)?);
        let low = u64::from_le_bytes(take_array(input)?);
        Ok(Uuid::from_u64_pair(high, low))
    }
}

/// A nullable value is preceded by 0, an absent one is 1 alone.
impl<T: Put> Put for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => {
                out.push(0);
                value.put(out);
            }
            None => out.push(1),
        }
    }
}

impl<T: Take> Take for Option<T> {
    fn take(input: &mut &[u8]) -> Result<Self, ReadError> {
        match take_array(input)? {
            [0] => T::take(input).map(Some),
            [1] => Ok(None),
            _ => Err(ReadError::Invalid),
        }
    }
}

/// Appends a batch id, the column before an encoded row.
pub fn encode_batch_id(batch_id: Uuid, out: &mut Vec<u8>) {
    batch_id.put(out);
}
