//! The form of a tournament's settings: one table of fields, from which the page is made and what was typed is read.

use chrono::{DateTime, Utc};
use mohaa_domain::tournament::{GroupSeeding, Ordering, Tournament};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::forms::{Fields, said};
use super::shown::{FORMATS, format_word, plain};
use crate::http::{ApiError, from_json};
use crate::tournaments::{SettingsBody, merged};

/// How a setting is typed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Line,
    Text,
    Number,
    /// UTC, to the minute.
    Time,
    /// One a line.
    Lines,
    /// Lines of a name and a number.
    Numbers,
    /// `win draw loss`.
    Points,
    Flag,
    Choice,
}

struct Field {
    /// As in JSON.
    name: &'static str,
    label: &'static str,
    kind: Kind,
    help: &'static str,
}

const fn field(name: &'static str, label: &'static str, kind: Kind, help: &'static str) -> Field {
    Field { name, label, kind, help }
}

struct Part {
    title: &'static str,
    fields: &'static [Field],
    /// Seldom needed: folded.
    is_folded: bool,
}

const PARTS: [Part; 6] = [
    Part {
        title: "What it is",
        is_folded: false,
        fields: &[
            field("name", "Name", Kind::Line, "Up to 200 characters."),
            field("description", "Description and rules", Kind::Text, "Plain text."),
            field("format", "Format", Kind::Choice, ""),
            field(
                "team_size",
                "Players a side",
                Kind::Number,
                "1: players enter for themselves; more: teams.",
            ),
            field("min_participants", "Entrants at least", Kind::Number, ""),
            field("max_participants", "Entrants at most", Kind::Number, "Who comes later waits for a place."),
        ],
    },
    Part {
        title: "When",
        is_folded: false,
        fields: &[
            field(
                "registration_start",
                "Registration opens",
                Kind::Time,
                "UTC. Without times each step is taken by hand.",
            ),
            field("registration_end", "Registration closes", Kind::Time, "UTC"),
            field("checkin_start", "Check-in opens", Kind::Time, "UTC"),
            field("checkin_end", "Check-in ends", Kind::Time, "UTC. Who has not checked in loses the place."),
            field("start_time", "Start", Kind::Time, "UTC"),
        ],
    },
    Part {
        title: "Matches",
        is_folded: false,
        fields: &[
            field("best_of", "Best of", Kind::Choice, "Games a match."),
            field(
                "options.best_of_rounds",
                "Other in rounds",
                Kind::Numbers,
                "A round and its number of games a line: final 5, R3 3, GF 5, S5 3.",
            ),
            field("map_pool", "Map pool", Kind::Lines, "One map a line."),
            field(
                "options.veto",
                "Order of the veto",
                Kind::Lines,
                "ban1, ban2, pick1 or pick2 a line. By turns of bans if nothing is said.",
            ),
            field("game_mode", "Game mode", Kind::Line, ""),
            field("timelimit", "Time limit", Kind::Number, "Minutes."),
            field("fraglimit", "Frag limit", Kind::Number, ""),
            field("roundlimit", "Round limit", Kind::Number, ""),
            field(
                "options.auto_accept_minutes",
                "A report alone holds after",
                Kind::Number,
                "Minutes; 0: never; 15 if nothing is said.",
            ),
        ],
    },
    Part {
        title: "Seeds",
        is_folded: true,
        fields: &[
            field("options.seed_by", "Who is not seeded by hand", Kind::Choice, ""),
            field(
                "seeding",
                "Order of the first round",
                Kind::Choice,
                "Inner and outer: 1 meets the last seed.",
            ),
        ],
    },
    Part {
        title: "Knockout",
        is_folded: true,
        fields: &[
            field("options.third_place", "Match for third place", Kind::Flag, "Single elimination."),
            field("options.grand_final", "Grand final", Kind::Choice, "Double elimination."),
            field(
                "options.consolation",
                "Consolation final",
                Kind::Flag,
                "Double elimination: between the losers of the lower bracket's last two rounds.",
            ),
            field(
                "options.lower_start",
                "Half starts in the lower bracket",
                Kind::Flag,
                "Double elimination.",
            ),
        ],
    },
    Part {
        title: "Groups and Swiss",
        is_folded: true,
        fields: &[
            field(
                "options.groups",
                "Groups",
                Kind::Number,
                "Round robin: 1, group stage: of four, if nothing is said.",
            ),
            field("options.group_seeding", "Who comes into which group", Kind::Choice, ""),
            field("options.double_round_robin", "Everybody meets twice", Kind::Flag, ""),
            field("options.first_stage", "First stage", Kind::Choice, "Groups and knockout."),
            field("options.knockout", "Second stage", Kind::Choice, "Groups and knockout."),
            field("options.advance", "How many go on", Kind::Number, "Of each group, or of all from Swiss."),
            field("options.swiss_rounds", "Swiss rounds", Kind::Number, ""),
            field("options.swiss_wins", "Wins that are enough", Kind::Number, ""),
            field("options.swiss_losses", "Losses that end it", Kind::Number, ""),
            field(
                "options.allow_rematches",
                "Two may meet again",
                Kind::Flag,
                "Swiss, where no other round exists.",
            ),
            field(
                "options.tie_breaks",
                "Equals are told apart by",
                Kind::Lines,
                "One a line, the first first: points, head_to_head, buchholz, buchholz_cut1, median_buchholz, sonneborn_berger, progressive, wins, score_diff, score_for, rating, draw_of_lots.",
            ),
            field("options.points", "Points for win, draw, loss", Kind::Points, "Three numbers: 3 1 0."),
        ],
    },
];

/// What a choice is between: value and label.
fn choices(name: &str) -> Vec<(String, &'static str)> {
    fn word<T: Serialize>(value: T) -> String {
        match serde_json::to_value(value) {
            Ok(Value::String(word)) => word,
            other => other.map(|value| value.to_string()).unwrap_or_default(),
        }
    }
    let plain = |pairs: &[(&str, &'static str)]| {
        pairs.iter().map(|(value, label)| ((*value).to_owned(), *label)).collect()
    };
    match name {
        "format" => FORMATS.into_iter().map(|format| (word(format), format_word(format))).collect(),
        "best_of" => plain(&[("1", "1 game"), ("3", "3 games"), ("5", "5 games"), ("7", "7 games")]),
        "seeding" => vec![
            (word(Ordering::InnerOuter), "Inner and outer"),
            (word(Ordering::Natural), "Natural"),
            (word(Ordering::Reverse), "Reverse"),
            (word(Ordering::HalfShift), "Half shift"),
            (word(Ordering::ReverseHalfShift), "Reverse half shift"),
            (word(Ordering::PairFlip), "Pair flip"),
        ],
        "options.seed_by" => plain(&[
            ("registration", "As they registered"),
            ("rating", "By rating"),
            ("random", "Drawn at the start"),
        ]),
        "options.grand_final" => plain(&[
            ("", "Double, the default"),
            ("double", "Double: the one from below wins twice"),
            ("simple", "Simple: one match"),
            ("none", "None"),
        ]),
        "options.group_seeding" => vec![
            (word(GroupSeeding::SeedOptimized), "Snake"),
            (word(GroupSeeding::EffortBalanced), "One after the other"),
            (word(GroupSeeding::BracketOptimized), "Apart from who meets in the first round"),
        ],
        "options.first_stage" => plain(&[("groups", "Groups"), ("swiss", "Swiss")]),
        "options.knockout" => plain(&[
            ("single_elimination", "Single elimination"),
            ("double_elimination", "Double elimination"),
        ]),
        _ => Vec::new(),
    }
}

/// The value of `options.groups` and the like.
fn at<'a>(settings: &'a Value, name: &str) -> &'a Value {
    name.split('.').fold(settings, |value, part| &value[part])
}

/// A moment as a browser's field takes it.
pub fn moment(at: i64) -> String {
    // Seconds only where there are some: what is not touched is sent back as it was.
    let form = if at % 60_000 == 0 { "%Y-%m-%dT%H:%M" } else { "%Y-%m-%dT%H:%M:%S%.f" };
    DateTime::<Utc>::from_timestamp_millis(at).map(|at| at.format(form).to_string()).unwrap_or_default()
}

/// What a field for a time says, as the API takes it; nothing where it is empty.
pub fn time_of(fields: &Fields, name: &str) -> Option<String> {
    let text = said(fields, name)?;
    // A browser's field has no zone, and often no seconds.
    let seconds = if text.len() == "2026-11-22T10:00".len() { ":00" } else { "" };
    let has_zone = text.ends_with('Z') || text.get(16..).is_some_and(|rest| rest.contains(['+', '-']));
    let zone = if has_zone { "" } else { "Z" };
    Some(format!("{text}{seconds}{zone}"))
}

/// The parts of the form with what stands in each field.
///
/// # Errors
/// 500 for settings that are no JSON.
pub fn form(settings: &SettingsBody) -> Result<Value, ApiError> {
    let settings = plain(settings)?;
    let parts = PARTS.iter().map(|part| {
        let fields: Vec<Value> =
            part.fields.iter().map(|field| shown(field, at(&settings, field.name))).collect();
        json!({ "title": part.title, "fields": fields, "is_folded": part.is_folded })
    });
    Ok(parts.collect())
}

/// The same with what can no longer change marked: it is shown and not sent.
pub fn with_what_holds(mut parts: Value, tournament: &Tournament) -> Value {
    for part in parts.as_array_mut().into_iter().flatten() {
        for field in part["fields"].as_array_mut().into_iter().flatten() {
            field["holds"] = field["name"].as_str().is_some_and(|name| !tournament.may_change(name)).into();
        }
    }
    parts
}

/// What the form calls a setting, and what is wrong with it in the form's words: other settings by their labels.
pub fn in_words(name: &str, why: &str) -> (String, String) {
    let fields = || PARTS.iter().flat_map(|part| part.fields);
    let known = fields().find(|field| field.name == name);
    let label = known.map_or_else(|| name.replace('_', " "), |field| field.label.to_owned());
    let named = fields().filter(|field| field.name.contains('_'));
    let why = named.fold(why.to_owned(), |why, field| why.replace(field.name, &format!("“{}”", field.label)));
    (label, why)
}

/// The same with what was typed, where it was, and what is wrong with it.
///
/// # Errors
/// As [`form`].
pub fn as_typed(fields: &Fields, settings: &SettingsBody, mistake: &ApiError) -> Result<Value, ApiError> {
    let mut parts = form(settings)?;
    for part in parts.as_array_mut().into_iter().flatten() {
        // A mistake may be in any of them.
        part["is_folded"] = false.into();
        for field in part["fields"].as_array_mut().into_iter().flatten() {
            if let Some(typed) = field["name"].as_str().and_then(|name| fields.get(name)) {
                field["value"] = typed.as_str().into();
            }
            // The form names a field by its label, the API by its name.
            let names = [field["name"].as_str(), field["label"].as_str()];
            let why = names.into_iter().flatten().find_map(|name| mistake.fields().get_key_value(name));
            field["mistake"] = why.map(|(name, why)| in_words(name, why).1).into();
        }
    }
    Ok(parts)
}

/// The settings of a new tournament as they were typed.
///
/// # Errors
/// 422 that names a field that can't be read.
pub fn whole(fields: &Fields, blank: &SettingsBody) -> Result<SettingsBody, ApiError> {
    let (Value::Object(whole), Value::Object(typed)) = (plain(blank)?, change(fields)?) else {
        return Err(ApiError::internal("settings are no object"));
    };
    from_json(Value::Object(merged(whole, typed)))
}

fn shown(field: &Field, value: &Value) -> Value {
    let lines = |value: &Value| {
        let lines = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        lines.collect::<Vec<_>>().join("\n")
    };
    let number = |value: &Value| if value.is_null() { String::new() } else { value.to_string() };
    let text = match field.kind {
        Kind::Line | Kind::Text | Kind::Choice if value.is_string() => {
            value.as_str().unwrap_or_default().to_owned()
        }
        Kind::Line | Kind::Text | Kind::Choice | Kind::Number => number(value),
        Kind::Time => value
            .as_str()
            .and_then(|at| at.parse::<DateTime<Utc>>().ok())
            .map(|at| moment(at.timestamp_millis()))
            .unwrap_or_default(),
        Kind::Lines => lines(value),
        Kind::Numbers => {
            let pairs = value.as_object().into_iter().flatten();
            pairs.map(|(name, number)| format!("{name} {number}")).collect::<Vec<_>>().join("\n")
        }
        Kind::Points if value.is_null() => String::new(),
        Kind::Points => format!("{} {} {}", value["win"], value["draw"], value["loss"]),
        Kind::Flag => if value == true { "yes" } else { "no" }.to_owned(),
    };
    let (control, options) = match field.kind {
        Kind::Text => ("text", Vec::new()),
        Kind::Lines | Kind::Numbers => ("lines", Vec::new()),
        Kind::Number => ("number", Vec::new()),
        Kind::Time => ("time", Vec::new()),
        Kind::Flag => ("choice", vec![("no".to_owned(), "No"), ("yes".to_owned(), "Yes")]),
        Kind::Choice => ("choice", choices(field.name)),
        Kind::Line | Kind::Points => ("line", Vec::new()),
    };
    let options: Vec<Value> =
        options.into_iter().map(|(value, label)| json!({ "value": value, "label": label })).collect();
    json!({
        "name": field.name, "id": field.name.replace(['.', '_'], "-"), "label": field.label, "help": field.help,
        "control": control, "value": text, "options": options, "is_needed": field.name == "name", "holds": false,
        "mistake": null,
    })
}

/// What was typed, as the API takes a change of settings. A field that the form did not have stays as it is.
///
/// # Errors
/// 422 that names a field that can't be read.
pub fn change(fields: &Fields) -> Result<Value, ApiError> {
    let (mut change, mut options) = (Map::new(), Map::new());
    for field in PARTS.iter().flat_map(|part| part.fields) {
        if !fields.contains_key(field.name) {
            continue;
        }
        let value = read(field, fields)?;
        match field.name.split_once('.') {
            Some((_, name)) => drop(options.insert(name.to_owned(), value)),
            None => drop(change.insert(field.name.to_owned(), value)),
        }
    }
    if !options.is_empty() {
        change.insert("options".to_owned(), Value::Object(options));
    }
    Ok(Value::Object(change))
}

fn read(field: &Field, fields: &Fields) -> Result<Value, ApiError> {
    let wrong = |why: &str| ApiError::invalid_field(field.label, why);
    let Some(text) = said(fields, field.name) else {
        return Ok(if field.name == "name" { "".into() } else { Value::Null });
    };
    let whole = |text: &str| text.parse::<u32>().map_err(|_| wrong("must be a whole number"));
    Ok(match field.kind {
        Kind::Line | Kind::Text => text.replace("\r\n", "\n").into(),
        Kind::Choice if field.name == "best_of" => whole(text)?.into(),
        Kind::Choice => text.into(),
        Kind::Number => whole(text)?.into(),
        Kind::Time => time_of(fields, field.name).into(),
        Kind::Flag => (text == "yes").into(),
        Kind::Lines => words(text).collect(),
        Kind::Numbers => {
            let mut numbers = Map::new();
            for line in text.lines().flat_map(|line| line.split(',')).map(str::trim) {
                if line.is_empty() {
                    continue;
                }
                let (name, number) = line
                    .split_once(char::is_whitespace)
                    .ok_or_else(|| wrong("a round and a number a line"))?;
                numbers.insert(name.to_owned(), whole(number.trim())?.into());
            }
            Value::Object(numbers)
        }
        Kind::Points => {
            let numbers: Vec<f64> = text
                .split([' ', ','])
                .filter(|word| !word.is_empty())
                .map(|word| word.parse().map_err(|_| wrong("three numbers")))
                .collect::<Result<_, _>>()?;
            let [win, draw, loss] = numbers[..] else { return Err(wrong("three numbers")) };
            json!({ "win": win, "draw": draw, "loss": loss })
        }
    })
}

fn words(text: &str) -> impl Iterator<Item = Value> {
    text.lines()
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(Value::from)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use mohaa_domain::tournament::TieBreak;

    use super::super::shown::tie_break_word;
    use super::*;
    use crate::tournaments::changed;

    fn settings(value: Value) -> SettingsBody {
        serde_json::from_value(value).unwrap()
    }

    /// What a browser would send of the form.
    fn sent(settings: &SettingsBody) -> Fields {
        let form = form(settings).unwrap();
        let fields = form.as_array().unwrap().iter().flat_map(|part| part["fields"].as_array().unwrap());
        fields
            .map(|field| (field["name"].as_str().unwrap().into(), field["value"].as_str().unwrap().into()))
            .collect()
    }

    #[test]
    fn a_form_that_nobody_touched_changes_nothing() {
        let all = json!({
            "name": "Cup", "format": "group_stage", "best_of": 3, "team_size": 2, "map_pool": ["dm/mohdm1", "dm/mohdm2"],
            "start_time": "2026-11-22T10:00:00Z", "timelimit": 20,
            "options": {
                "grand_final": "simple", "groups": 2, "double_round_robin": true, "knockout": "double_elimination",
                "tie_breaks": ["points", "wins"], "points": {"win": 2.0, "draw": 1.0, "loss": 0.5},
                "best_of_rounds": {"GF": 5, "final": 7}, "veto": ["ban1", "pick2"], "auto_accept_minutes": 0,
            },
        });
        for one in [all, json!({ "name": "Small", "format": "swiss" })] {
            let before = settings(one);
            let change = change(&sent(&before)).unwrap();
            let (after, _) = changed(&before.clone().into_settings().unwrap(), change).unwrap();
            assert_eq!(plain(&SettingsBody::from(&after)).unwrap(), plain(&before).unwrap());
        }
    }

    #[test]
    fn every_choice_that_is_offered_can_be_made() {
        for part in &PARTS {
            for field in part.fields.iter().filter(|field| field.kind == Kind::Choice) {
                let options = choices(field.name);
                assert!(!options.is_empty(), "{}", field.name);
                for (value, _) in options {
                    let before = settings(json!({ "name": "Cup", "format": "swiss" }));
                    let mut fields = sent(&before);
                    fields.insert(field.name.to_owned(), value.clone());
                    let change = change(&fields).unwrap();
                    changed(&before.into_settings().unwrap(), change)
                        .unwrap_or_else(|error| panic!("{}={value}: {error:?}", field.name));
                }
            }
        }
    }

    #[test]
    fn every_tie_break_is_named_in_the_form() {
        let help = PARTS.iter().flat_map(|part| part.fields).find(|field| field.name == "options.tie_breaks");
        for tie_break in TieBreak::ALL {
            let word = serde_json::to_value(tie_break).unwrap();
            assert!(help.unwrap().help.contains(word.as_str().unwrap()), "{}", tie_break_word(tie_break));
        }
    }
}
