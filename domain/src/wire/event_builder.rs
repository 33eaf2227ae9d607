//! Builds one event from its fields as they come, in any order; the last of a repeated name wins.

use std::borrow::Cow;

use super::extra::Extra;
use super::field::{self, Decimal, Field, Integer, Key, Part, Role};
use super::json::{Lead, OnMember, Scanner, Value};
use super::players::Blocks;
use super::time::{self, Timestamp};
use super::values::{Values, parse_member_id, secret, spelling, without_nul};
use super::{BodyToken, RejectReason, hidden, number};
use crate::claim;
use crate::event::{Event, Player, SecretText, Text};
use crate::vocabulary::{self, EventType, GameType, Team};

/// Longest type that is stored as such, in characters. Types fill a dictionary of the store; the whole of a longer
/// one is in `extra`.
const MAX_TYPE_LENGTH: usize = 64;

const CLAIM_CODE_KEYS: [&str; 2] = ["code", "claim_code"];

/// What outlives an event.
#[derive(Default)]
pub(super) struct Scratch {
    extra: Extra,
    blocks: Blocks,
    order: FieldOrder,
    /// The body holds NUL.
    pub(super) holds_nul: bool,
}

/// Which field came behind which, and how it began: scripts write the same ones in the same way over and over.
struct FieldOrder {
    /// By the place of a field's name, the last for the beginning of an event.
    behind: [Option<NextField>; field::COUNT + 1],
    /// Of the field at hand.
    place: usize,
}

#[derive(Clone, Copy)]
struct NextField {
    place: u16,
    /// None in forms.
    lead: Option<Lead>,
}

impl Default for FieldOrder {
    fn default() -> Self {
        Self { behind: [None; field::COUNT + 1], place: field::COUNT }
    }
}

impl FieldOrder {
    fn begin(&mut self) {
        self.place = field::COUNT;
    }

    fn next(&self) -> Option<NextField> {
        self.behind[self.place]
    }

    fn note(&mut self, place: usize, lead: Option<Lead>) {
        self.behind[self.place] = Some(NextField { place: place as u16, lead });
        self.place = place;
    }
}

/// One element of the body, read.
pub(super) struct Element {
    /// Why what was built is no event.
    pub(super) rejected: Option<RejectReason>,
    pub(super) server_token: Option<BodyToken>,
    pub(super) unreadable_fields: u32,
}

pub(super) struct EventBuilder<'s> {
    /// Where it will stay: events are large to move.
    event: &'s mut Event,
    blocks: &'s mut Blocks,
    order: &'s mut FieldOrder,
    values: Values<'s>,
    server_token: Option<BodyToken>,
    claim_code: Text,
    /// One bit for each known field name that came.
    seen: [u64; field::COUNT.div_ceil(64)],
    /// The field at hand came before.
    repeated: bool,
    is_form: bool,
    plain_team: Team,
    new_team: Team,
    auth_member_id: Text,
    map_rank: u8,
    winner_rank: u8,
    new_weapon: Text,
    /// `weapon` was a number: the means of death of the first scripts.
    weapon_as_means: Text,
    players: Option<i32>,
    distance: Option<f64>,
    total_distance: Option<f64>,
    delta_distance: Option<f64>,
}

impl<'s> EventBuilder<'s> {
    /// Builds in `event`, a blank one.
    pub(super) fn new(scratch: &'s mut Scratch, event: &'s mut Event) -> Self {
        let Scratch { extra, blocks, order, holds_nul } = scratch;
        extra.clear();
        blocks.clear();
        order.begin();
        Self {
            event,
            blocks,
            order,
            values: Values { extra, unreadable_fields: 0, may_hold_nul: *holds_nul },
            server_token: None,
            claim_code: Text::default(),
            seen: [0; field::COUNT.div_ceil(64)],
            repeated: false,
            is_form: false,
            plain_team: Team::Unknown,
            new_team: Team::Unknown,
            auth_member_id: Text::default(),
            map_rank: u8::MAX,
            winner_rank: u8::MAX,
            new_weapon: Text::default(),
            weapon_as_means: Text::default(),
            players: None,
            distance: None,
            total_distance: None,
            delta_distance: None,
        }
    }

    /// For unescaped form text, where a name can hold what looks like fields.
    pub(super) fn of_form(mut self) -> Self {
        self.is_form = true;
        self
    }

    pub(super) fn field(&mut self, name: &str, value: Value<'_>) {
        self.field_with(name, None, value);
    }

    /// A field of a form whose name has this place in the table.
    pub(super) fn placed_field(&mut self, place: usize, name: &str, field: Field, value: &Value<'_>) {
        self.order.note(place, None);
        self.listed_field(place, name, field, value);
    }

    /// A field of a form whose name is not in the table.
    pub(super) fn unlisted_field(&mut self, name: &str, value: &Value<'_>) {
        self.values.keep(Key::unlisted(name), value);
    }

    /// The place of the name that a form's field probably has behind the one at this place, or behind nothing at
    /// [`field::COUNT`].
    pub(super) fn place_behind(&self, place: usize) -> Option<usize> {
        self.order.behind[place].map(|next| usize::from(next.place))
    }

    fn field_with(&mut self, name: &str, lead: Option<Lead>, value: Value<'_>) {
        let Some((place, field)) = field::find(name) else {
            self.unlisted_field(name, &value);
            return;
        };
        if let Some(lead) = lead {
            self.order.note(place, Some(lead));
        }
        self.listed_field(place, name, field, &value);
    }

    fn listed_field(&mut self, place: usize, name: &str, field: Field, value: &Value<'_>) {
        let bit = 1_u64 << (place % 64);
        self.repeated = self.seen[place / 64] & bit != 0;
        self.seen[place / 64] |= bit;
        if self.repeated {
            self.values.extra.forget(name);
        }
        self.known_field(Key::listed(name, field), field, value);
    }

    fn known_field(&mut self, key: Key<'_>, field: Field, value: &Value<'_>) {
        match field {
            Field::Type => self.event_type(key, value),
            Field::MatchId => {
                let id = self.values.word(key, value);
                if id.as_deref().is_some_and(names_no_match) {
                    self.values.keep(key, value);
                    self.event.source_match_id.clear();
                } else {
                    set_text(&mut self.event.source_match_id, id);
                }
            }
            Field::SessionId => {
                let id = self.values.word(key, value);
                set_text(&mut self.event.session_id, id);
            }
            Field::Timestamp => self.timestamp(key, value),
            Field::MatchToken => {
                if let Some(token) = secret(value) {
                    self.event.match_token = token;
                }
            }
            Field::ServerToken => {
                if let Some(token) = secret(value) {
                    self.server_token = Some(token);
                }
            }
            Field::ClaimCode => {
                // Only an identity_claim's is a secret, and the type may come later.
                set_text(&mut self.claim_code, self.values.word(key, value));
                self.values.keep(key, value);
            }
            Field::Block(role, part) => self.block_part(key, role, part, value),
            Field::BlockObject(role) => self.block_object(key, role, value),
            Field::AuthMemberId => {
                set_text(&mut self.auth_member_id, self.values.member_id(key, value));
                self.values.keep(key, value);
            }
            Field::PlainTeam => {
                let team = self.values.team(key, value);
                self.plain_team = team.unwrap_or(self.plain_team);
                if key.name != "team" {
                    self.values.keep(key, value);
                }
            }
            Field::NewTeam => {
                self.new_team = self.values.team(key, value).unwrap_or_default();
                self.values.keep(key, value);
            }
            Field::Weapon => self.weapon(key, value),
            Field::NewWeapon => {
                set_text(&mut self.new_weapon, self.values.word(key, value));
                self.values.keep(key, value);
            }
            Field::Inflictor => {
                let inflictor = self.values.word(key, value);
                assign_text(&mut self.event.inflictor, inflictor, self.repeated);
            }
            Field::Hitloc => {
                let hitloc = self.values.canonical(key, value, vocabulary::hit_location);
                assign_text(&mut self.event.hitloc, hitloc, self.repeated);
            }
            Field::MeansOfDeath => {
                let means = self.values.canonical(key, value, vocabulary::means_of_death);
                assign_text(&mut self.event.means_of_death, means, self.repeated);
            }
            Field::Map { rank } => {
                let map = self.values.word(key, value);
                if rank > 0 && map.is_some() {
                    self.values.keep(key, value);
                }
                if let Some(map) = map
                    && rank <= self.map_rank
                {
                    self.map_rank = rank;
                    set_text(&mut self.event.map_name, Some(map));
                }
            }
            Field::GameType => {
                if let Some(game_type) =
                    self.values.vocabulary_word(key, value, GameType::parse, GameType::as_str)
                {
                    self.event.game_type = game_type;
                }
            }
            Field::Winner { rank } => {
                let winner = self.values.winner(key, value);
                if rank > 0 && winner.is_some() {
                    self.values.keep(key, value);
                }
                if let Some(winner) = winner
                    && rank <= self.winner_rank
                {
                    self.winner_rank = rank;
                    self.event.winning_team = winner;
                }
            }
            Field::Item => {
                let item = self.values.word(key, value);
                assign_text(&mut self.event.item, item, self.repeated);
            }
            Field::Message => {
                let message = self.values.free_text(key, value);
                assign_text(&mut self.event.message, message, self.repeated);
            }
            Field::TeamOnly => self.team_only(key, value),
            Field::Integer(integer) => {
                let number = match integer {
                    // A free slot is -1, and team kills cost points.
                    Integer::ClientNum | Integer::AlliesScore | Integer::AxisScore => {
                        self.values.number_as(key, value, number::to_i32)
                    }
                    _ => self.values.number_as(key, value, number::to_count),
                };
                let slot = match integer {
                    Integer::ClientNum => &mut self.event.client_num,
                    Integer::RoundNumber => &mut self.event.round_number,
                    Integer::AlliesScore => &mut self.event.allies_score,
                    Integer::AxisScore => &mut self.event.axis_score,
                    Integer::PlayerCount => &mut self.event.player_count,
                    Integer::MaxClients => &mut self.event.max_clients,
                    Integer::ShotsFired => &mut self.event.shots_fired,
                    Integer::ShotsHit => &mut self.event.shots_hit,
                };
                assign(slot, number, self.repeated);
            }
            Field::Decimal(decimal) => {
                let number = match decimal {
                    Decimal::Duration => self.values.number_as(key, value, number::to_duration),
                    _ => self.values.number_as(key, value, number::to_amount),
                };
                let slot = match decimal {
                    Decimal::Damage => &mut self.event.damage,
                    Decimal::Duration => &mut self.event.duration,
                    Decimal::Walked => &mut self.event.walked,
                    Decimal::Sprinted => &mut self.event.sprinted,
                    Decimal::Swam => &mut self.event.swam,
                    Decimal::Driven => &mut self.event.driven,
                };
                assign(slot, number, self.repeated);
            }
            Field::Distance => self.distance = self.values.kept_number(key, value),
            Field::TotalDistance => self.total_distance = self.values.kept_number(key, value),
            Field::DeltaDistance => self.delta_distance = self.values.kept_number(key, value),
            Field::Players => {
                self.players = spelling(value).and_then(number::parse).and_then(number::to_i32);
                self.values.keep(key, value);
            }
            Field::Kept => self.values.keep(key, value),
            Field::NeverKept => {}
        }
    }

    pub(super) fn finish(mut self) -> Element {
        let rejected = match self.event.source_type.is_empty() {
            true => Some(RejectReason::MissingType),
            false => {
                self.complete();
                None
            }
        };
        Element {
            rejected,
            server_token: self.server_token,
            unreadable_fields: self.values.unreadable_fields,
        }
    }

    /// What only the whole of an event's fields tells.
    fn complete(&mut self) {
        let event = &mut *self.event;
        event.event_type = EventType::parse(&event.source_type);
        let is_pain = event.source_type.eq_ignore_ascii_case("player_pain");
        (event.player, event.target) = self.blocks.take(event.event_type, is_pain, self.values.extra);

        if event.player.member_id.is_empty() {
            event.player.member_id = std::mem::take(&mut self.auth_member_id);
        }
        let decides_a_match =
            matches!(event.event_type, EventType::TeamWin | EventType::RoundEnd | EventType::MatchEnd);
        if !decides_a_match {
            set_team(&mut event.player, self.plain_team, self.values.extra, false);
        } else if event.winning_team == Team::Unknown {
            event.winning_team = self.plain_team;
        }
        if event.event_type == EventType::TeamChange {
            set_team(&mut event.player, self.new_team, self.values.extra, true);
        }

        if event.weapon_name.is_empty() {
            let inflictor = event.inflictor.as_str();
            if !self.new_weapon.is_empty() {
                event.weapon_name = std::mem::take(&mut self.new_weapon);
            } else if inflictor != "world" && vocabulary::whole_number(inflictor).is_none() {
                event.weapon_name = event.inflictor.clone();
            }
        }
        if event.means_of_death.is_empty() {
            event.means_of_death = std::mem::take(&mut self.weapon_as_means);
        }
        event.player_count = event.player_count.or(self.players);

        let says_how = event.walked.is_some()
            || event.sprinted.is_some()
            || event.swam.is_some()
            || event.driven.is_some();
        if event.event_type == EventType::Distance && !says_how {
            // `distance` beside a total or a step is the total so far; alone it is all that is said of the step.
            let step = self.delta_distance.or(self.distance.filter(|_| self.total_distance.is_none()));
            event.walked = step.and_then(number::to_f32);
        }
        if let Some(message) = hidden::without_secrets(&event.message) {
            event.message = message.into();
            self.values.extra.forget("message");
        }
        match event.event_type {
            EventType::IdentityClaim => {
                // `claim CODE` too: who types it into a dialog may have read that.
                let said = self.claim_code.rsplit(char::is_whitespace).next().unwrap_or_default();
                let code = if claim::is_code(&self.claim_code) { self.claim_code.as_str() } else { said };
                if claim::is_code(code) {
                    event.claim_code = SecretText::from(code);
                }
                for key in CLAIM_CODE_KEYS {
                    self.values.extra.forget(key);
                }
            }
            EventType::Chat => {
                let line = claim::visible(&event.message);
                if let Some(code) = claimed_in(&line) {
                    event.claim_code = SecretText::from(code);
                    event.message = Text::const_new("!claim [hidden]");
                    self.values.extra.forget("message");
                } else if is_login(&line) {
                    event.message = Text::const_new("login [hidden]");
                    self.values.extra.forget("message");
                } else if let Some(line) =
                    claim::without_codes(&event.message).or_else(|| claim::without_bare_codes(&event.message))
                {
                    event.message = line.into();
                    self.values.extra.forget("message");
                }
            }
            _ => {
                if let Some(line) =
                    Some(&event.message).filter(|it| !it.is_empty()).and_then(|it| claim::without_codes(it))
                {
                    event.message = line.into();
                    self.values.extra.forget("message");
                }
            }
        }
        event.extra = self.values.extra.to_object();
        let is_typed = matches!(event.event_type, EventType::Chat | EventType::IdentityClaim);
        if !event.extra.is_empty() && (is_typed || self.values.extra.speaks_of_codes()) {
            hide_codes(&mut event.extra, event.event_type);
        }
    }

    fn event_type(&mut self, key: Key<'_>, value: &Value<'_>) {
        // A number or a flag is no name.
        let name = match value {
            Value::Text(text) => without_nul(text.trim_ascii()),
            _ => Cow::Borrowed(""),
        };
        let too_long = match name.len() > MAX_TYPE_LENGTH {
            true => name.char_indices().nth(MAX_TYPE_LENGTH),
            false => None,
        };
        let end = match too_long {
            Some((end, _)) => {
                self.values.keep(key, value);
                end
            }
            None => name.len(),
        };
        self.event.source_type = Text::new(&name[..end]);
    }

    fn timestamp(&mut self, key: Key<'_>, value: &Value<'_>) {
        (self.event.level_time, self.event.sent_at) = (None, None);
        let Some(text) = spelling(value).filter(|text| !text.is_empty()) else {
            if matches!(value, Value::Bool(_) | Value::Nested(_)) {
                self.values.unreadable(key, value);
            }
            return;
        };
        match time::parse(text) {
            Some(Timestamp::LevelTime(seconds)) => self.event.level_time = Some(seconds),
            Some(Timestamp::Sent { at, exact }) => {
                self.event.sent_at = Some(at);
                if !exact {
                    self.values.keep(key, value);
                }
            }
            None => self.values.unreadable(key, value),
        }
    }

    fn block_part(&mut self, key: Key<'_>, role: Role, part: Part, value: &Value<'_>) {
        match part {
            Part::Name => {
                let name = self.values.free_text(key, value);
                assign_text(&mut self.blocks.get_mut(role).name, name, self.repeated);
            }
            Part::Guid => {
                let guid = self.values.word(key, value);
                let block = self.blocks.get_mut(role);
                assign_text(&mut block.guid, guid, self.repeated);
                if self.is_form && !block.name.is_empty() && !block.member_id.is_empty() {
                    // Scripts write name, guid, member id: one that stands between the first two is part of a name.
                    let forged = std::mem::take(&mut block.member_id);
                    let name = key.name.replace("guid", "member_id");
                    self.values.extra.push(Key::unlisted(&name), &Value::Text(forged.as_str().into()));
                }
            }
            Part::MemberId => {
                let member_id = self.values.member_id(key, value);
                assign_text(&mut self.blocks.get_mut(role).member_id, member_id, self.repeated);
            }
            Part::Team => {
                let team = self.values.team(key, value);
                if team.is_some() || self.repeated {
                    self.blocks.get_mut(role).team = team.unwrap_or_default();
                }
            }
            Part::Stance => {
                let stance = self.values.word(key, value);
                assign_text(&mut self.blocks.get_mut(role).stance, stance, self.repeated);
            }
            Part::X | Part::Y | Part::Z | Part::Pitch | Part::Yaw => {
                let number = self.values.decimal(key, value);
                if let Some(slot) = self.blocks.part_mut(role, part) {
                    assign(slot, number, self.repeated);
                }
            }
        }
    }

    /// A nested block. It is kept whole besides: tools put more into it than a block has.
    fn block_object(&mut self, key: Key<'_>, role: Role, value: &Value<'_>) {
        if let Value::Nested(text) = value
            && text.starts_with('{')
        {
            // Its text was scanned by the same rules before, so reading it can't fail.
            let _ = Scanner::new(text).members(|name, value| {
                if let Some(part) = field::find_part(name) {
                    self.nested_part(role, part, &value);
                }
            });
        }
        self.values.keep(key, value);
    }

    /// As [`block_part`](Self::block_part), for a value whose object is kept whole anyway.
    fn nested_part(&mut self, role: Role, part: Part, value: &Value<'_>) {
        let Some(text) = spelling(value).filter(|text| !text.is_empty()) else {
            return;
        };
        let is_nil = part != Part::Name && matches!(text, "NIL" | "NULL");
        if is_nil || matches!(value, Value::Word(_)) {
            self.values.unreadable_fields += 1;
            return;
        }
        let text = without_nul(text);
        let number = number::parse(&text).and_then(number::to_f32);
        let block = self.blocks.get_mut(role);
        let readable = match part {
            Part::Name => {
                block.name = Text::new(&text);
                true
            }
            Part::Guid => {
                block.guid = Text::new(&text);
                true
            }
            Part::Stance => {
                block.stance = Text::new(&text);
                true
            }
            Part::MemberId => {
                let id = parse_member_id(text);
                id.map(|id| set_text(&mut block.member_id, id)).is_some()
            }
            Part::Team => Team::parse(&text).map(|team| block.team = team).is_some(),
            Part::X | Part::Y | Part::Z | Part::Pitch | Part::Yaw => {
                if let Some(slot) = self.blocks.part_mut(role, part) {
                    *slot = number;
                }
                number.is_some()
            }
        };
        self.values.unreadable_fields += u32::from(!readable);
    }

    fn weapon(&mut self, key: Key<'_>, value: &Value<'_>) {
        (self.event.weapon_name, self.weapon_as_means) = (Text::default(), Text::default());
        let Some(name) = self.values.word(key, value) else {
            return;
        };
        if number::parse(&name).is_none() {
            self.event.weapon_name = Text::new(&name);
            return;
        }
        self.weapon_as_means =
            vocabulary::means_of_death(&name).map_or_else(|| Text::from(&*name), Text::from);
        self.values.keep(key, value);
    }

    fn team_only(&mut self, key: Key<'_>, value: &Value<'_>) {
        let flag = match value {
            Value::Bool(flag) => Some(*flag),
            Value::Null => None,
            _ => match spelling(value).unwrap_or("?") {
                "" => None,
                text if text.eq_ignore_ascii_case("true") => Some(true),
                text if text.eq_ignore_ascii_case("false") => Some(false),
                text => {
                    let flag = number::parse(text).map(|number| number != 0.0);
                    if flag.is_none() {
                        self.values.unreadable(key, value);
                    } else if !matches!(vocabulary::whole_number(text), Some(0 | 1)) {
                        self.values.keep(key, value);
                    }
                    flag
                }
            },
        };
        assign(&mut self.event.team_only, flag, self.repeated);
    }
}

impl<'a> OnMember<'a> for EventBuilder<'_> {
    #[inline]
    fn guess(&self) -> Option<Lead> {
        self.order.next().and_then(|next| next.lead)
    }

    #[inline]
    fn guessed_member(&mut self, value: Value<'a>) {
        if let Some(NextField { place, .. }) = self.order.next() {
            let place = usize::from(place);
            self.order.place = place;
            let (name, field) = field::at(place);
            self.listed_field(place, name, field, &value);
        }
    }

    fn member(&mut self, name: &str, lead: Lead, value: Value<'a>) {
        self.field_with(name, Some(lead), value);
    }
}

fn assign<T>(slot: &mut Option<T>, value: Option<T>, repeated: bool) {
    if value.is_some() || repeated {
        *slot = value;
    }
}

fn assign_text(slot: &mut Text, value: Option<Cow<'_, str>>, repeated: bool) {
    match value {
        Some(text) => *slot = Text::new(text),
        None if repeated => slot.clear(),
        None => {}
    }
}

fn set_text(slot: &mut Text, value: Option<Cow<'_, str>>) {
    assign_text(slot, value, true);
}

/// What scripts say as long as they know no id: it stands for every match and so names none.
fn names_no_match(id: &str) -> bool {
    matches!(id, "no_match" | "match_sess_0.000_0.000")
}

/// Takes codes out of what is kept beside an event that may hold what people typed.
fn hide_codes(extra: &mut String, event_type: EventType) {
    /// `all`: whatever may be one. `bare`: what is one by itself, as in chat.
    fn hide(value: &mut serde_json::Value, all: bool, bare: bool) -> bool {
        match value {
            serde_json::Value::String(text) => {
                let hidden = match all && text.split_whitespace().any(claim::is_code) {
                    true => Some(claim::HIDDEN.to_owned()),
                    false => claim::without_codes(text)
                        .or_else(|| bare.then(|| claim::without_bare_codes(text)).flatten()),
                };
                let is_hidden = hidden.is_some();
                hidden.into_iter().for_each(|hidden| *text = hidden);
                is_hidden
            }
            serde_json::Value::Array(items) => {
                items.iter_mut().fold(false, |any, item| hide(item, all, bare) | any)
            }
            serde_json::Value::Object(members) => members.iter_mut().fold(false, |any, (name, member)| {
                hide(member, all || claim::speaks_of_codes(name), bare) | any
            }),
            _ => false,
        }
    }
    if let Ok(mut value) = serde_json::from_str(extra)
        && hide(&mut value, event_type == EventType::IdentityClaim, event_type == EventType::Chat)
    {
        *extra = value.to_string();
    }
}

/// The code of `!claim CODE`; other words are no secret.
fn claimed_in(message: &str) -> Option<&str> {
    let (command, code) = message.trim().split_once(char::is_whitespace)?;
    (command.eq_ignore_ascii_case("!claim") && claim::is_code(code)).then(|| code.trim())
}

/// Whether this is `login CODE`, meant for the console: whoever reads the code could still use it.
fn is_login(message: &str) -> bool {
    let line = message.trim().trim_start_matches(['!', '/']);
    line.split_once(char::is_whitespace)
        .is_some_and(|(command, code)| command.eq_ignore_ascii_case("login") && claim::is_code(code))
}

/// Sets the player's team where it is unknown, or instead of the one that was sent, which then goes to `extra`.
fn set_team(player: &mut Player, team: Team, extra: &mut Extra, replace: bool) {
    if team == Team::Unknown || team == player.team {
        return;
    }
    if player.team == Team::Unknown {
        player.team = team;
    } else if replace {
        extra.push_if_absent("player_team", &Value::Text(player.team.as_str().into()));
        player.team = team;
    }
}
