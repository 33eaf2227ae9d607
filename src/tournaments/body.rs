//! A tournament's settings as JSON, in requests and answers.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use mohaa_domain::tournament::{Format, Mistake, Options, Ordering, Settings, Times};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::store::time;
use crate::http::{ApiError, from_json};

/// What an organizer decides. When it is made, `name` and `format` are needed; in a change, what is absent stays and what is
/// null goes back to its default.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SettingsBody {
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[schema(value_type = String, example = "double_elimination")]
    pub format: Format,
    #[serde(default = "sixty_four")]
    #[schema(default = 64)]
    pub max_participants: u32,
    #[serde(default = "two")]
    #[schema(default = 2)]
    pub min_participants: u32,
    /// 1: players; more: teams.
    #[serde(default = "one")]
    #[schema(default = 1)]
    pub team_size: u32,
    #[serde(default)]
    pub game_mode: Option<String>,
    #[serde(default)]
    pub map_pool: Vec<String>,
    /// Minutes.
    #[serde(default)]
    pub timelimit: Option<u32>,
    #[serde(default)]
    pub fraglimit: Option<u32>,
    #[serde(default)]
    pub roundlimit: Option<u32>,
    #[serde(default = "single")]
    #[schema(default = 1)]
    pub best_of: u8,
    #[serde(default)]
    pub registration_start: Option<DateTime<Utc>>,
    #[serde(default)]
    pub registration_end: Option<DateTime<Utc>>,
    #[serde(default)]
    pub checkin_start: Option<DateTime<Utc>>,
    #[serde(default)]
    pub checkin_end: Option<DateTime<Utc>>,
    #[serde(default)]
    pub start_time: Option<DateTime<Utc>>,
    #[serde(default)]
    #[schema(value_type = String, default = "inner_outer")]
    pub seeding: Ordering,
    /// What only some formats know: `grand_final`, `third_place`, `groups`, `swiss_rounds`, `tie_breaks` and so on.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub options: Options,
}

fn sixty_four() -> u32 {
    64
}

fn two() -> u32 {
    2
}

fn one() -> u32 {
    1
}

fn single() -> u8 {
    1
}

impl SettingsBody {
    /// # Errors
    /// 422 that names every field that can't be.
    pub fn into_settings(self) -> Result<Settings, ApiError> {
        let millis = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp_millis());
        let settings = Settings {
            name: self.name.trim().to_owned(),
            description: self.description,
            format: self.format,
            max_participants: self.max_participants,
            min_participants: self.min_participants,
            team_size: self.team_size,
            game_mode: self.game_mode,
            map_pool: self.map_pool,
            timelimit: self.timelimit,
            fraglimit: self.fraglimit,
            roundlimit: self.roundlimit,
            best_of: self.best_of,
            seeding: self.seeding,
            times: Times {
                registration_start: millis(self.registration_start),
                registration_end: millis(self.registration_end),
                checkin_start: millis(self.checkin_start),
                checkin_end: millis(self.checkin_end),
                start_time: millis(self.start_time),
            },
            options: self.options,
        };
        match settings.mistakes() {
            mistakes if mistakes.is_empty() => Ok(settings),
            mistakes => Err(invalid(&mistakes)),
        }
    }
}

impl From<&Settings> for SettingsBody {
    fn from(settings: &Settings) -> Self {
        let settings = settings.clone();
        let moment = |at: Option<i64>| at.and_then(time);
        SettingsBody {
            name: settings.name,
            description: settings.description,
            format: settings.format,
            max_participants: settings.max_participants,
            min_participants: settings.min_participants,
            team_size: settings.team_size,
            game_mode: settings.game_mode,
            map_pool: settings.map_pool,
            timelimit: settings.timelimit,
            fraglimit: settings.fraglimit,
            roundlimit: settings.roundlimit,
            best_of: settings.best_of,
            registration_start: moment(settings.times.registration_start),
            registration_end: moment(settings.times.registration_end),
            checkin_start: moment(settings.times.checkin_start),
            checkin_end: moment(settings.times.checkin_end),
            start_time: moment(settings.times.start_time),
            seeding: settings.seeding,
            options: settings.options,
        }
    }
}

/// Settings with what a request changes of them, and the names of those.
///
/// # Errors
/// 422 that names every field that can't be.
pub fn changed(settings: &Settings, change: Value) -> Result<(Settings, BTreeSet<String>), ApiError> {
    let now = serde_json::to_value(SettingsBody::from(settings)).map_err(ApiError::internal)?;
    let (Value::Object(now), Value::Object(change)) = (now, change) else {
        return Err(ApiError::invalid_field("body", "an object"));
    };
    let fields = change.iter().filter(|(name, _)| now.contains_key(*name)).flat_map(names).collect();
    let merged = Value::Object(merged(now, change));
    Ok((from_json::<SettingsBody>(merged)?.into_settings()?, fields))
}

/// What a member of a change is about: options one by one.
fn names((name, value): (&String, &Value)) -> Vec<String> {
    match (name.as_str(), value) {
        ("options", Value::Object(options)) => {
            options.keys().map(|option| format!("options.{option}")).collect()
        }
        _ => vec![name.clone()],
    }
}

/// Settings with a change of them: what is absent stays, what is null is taken away, options one by one.
pub fn merged(mut now: Map<String, Value>, change: Map<String, Value>) -> Map<String, Value> {
    for (name, value) in change {
        match (name.as_str(), now.remove(&name), value) {
            (_, _, Value::Null) => {}
            ("options", Some(Value::Object(options)), Value::Object(change)) => {
                now.insert(name, Value::Object(merged(options, change)));
            }
            (_, _, value) => drop(now.insert(name, value)),
        }
    }
    now
}

pub fn invalid(mistakes: &[Mistake]) -> ApiError {
    let mut fields = BTreeMap::new();
    for Mistake { field, why } in mistakes {
        fields.entry((*field).to_owned()).or_insert_with(|| why.clone());
    }
    ApiError::invalid(fields)
}
