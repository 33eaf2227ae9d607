//! The numbers of an answer, each of which has to be compared with something.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What tells the entries of a list apart, the first that they have. Those of duels and heatmaps have two.
const NAMES: [&[&str]; 12] = [
    &["player_id", "target_id"],
    &["x", "y"],
    &["slug"],
    &["match_id"],
    &["player_id"],
    &["map_name"],
    &["server_id"],
    &["hour"],
    &["from"],
    &["from_metres"],
    &["tier"],
    &["round_number"],
];
/// Objects whose names are data, as entries of a list are.
const BY_WORD: [&str; 2] = ["hitlocs", "stances"];

/// `value` by `id`.
pub type Counted = BTreeMap<String, f64>;

/// Every number of an answer under the path of its field (`maps[]/kills`), by what names the entries of lists on the way there;
/// those that nobody has compared yet.
pub struct Numbers {
    question: String,
    left: BTreeMap<String, Counted>,
}

impl Numbers {
    pub fn of(question: &str, answer: &Value) -> Self {
        let mut numbers = Self { question: question.to_owned(), left: BTreeMap::new() };
        numbers.add("", "", answer);
        numbers
    }

    fn add(&mut self, field: &str, name: &str, value: &Value) {
        let within = |key: &str| format!("{field}{}{key}", if field.is_empty() { "" } else { "/" });
        let below = |entry: &str| format!("{name}{}{entry}", if name.is_empty() { "" } else { " " });
        match value {
            Value::Number(number) => {
                let told = self.left.entry(field.to_owned()).or_default();
                let earlier = told.insert(name.to_owned(), number.as_f64().unwrap());
                assert_eq!(earlier, None, "{}: two entries of {field} are called {name}", self.question);
            }
            Value::Object(entries) if BY_WORD.iter().any(|it| field.ends_with(it)) => {
                for (word, entry) in entries {
                    self.add(&format!("{field}[]"), &below(word), entry);
                }
            }
            Value::Object(entries) => {
                for (key, entry) in entries {
                    self.add(&within(key), name, entry);
                }
            }
            Value::Array(entries) => {
                for (place, entry) in entries.iter().enumerate() {
                    self.add(&format!("{field}[]"), &below(&name_of(entry, place)), entry);
                }
            }
            Value::Null | Value::Bool(_) | Value::String(_) => {}
        }
    }

    /// What is told of a field, which now counts as compared.
    pub fn take(&mut self, field: &str) -> Counted {
        self.left.remove(field).unwrap_or_default()
    }

    /// The only number of a field that stands in no list.
    pub fn is(&mut self, field: &str, expected: impl Into<f64>) {
        let told = self.take(field);
        let told = told.get("").unwrap_or_else(|| panic!("{}: no {field}", self.question));
        self.assert_near(field, "it", *told, expected.into());
    }

    /// Nothing is told of a field: it is null, or its list empty.
    pub fn is_unknown(&mut self, field: &str) {
        assert_eq!(self.take(field), Counted::new(), "{}: {field}", self.question);
    }

    /// What a field tells is what was counted, for all of whom any was counted.
    pub fn are(&mut self, field: &str, counted: &Counted) {
        let told = self.among(field, counted);
        for (name, value) in counted {
            assert!(
                *value == 0.0 || told.contains_key(name),
                "{}: {field} of {name} is not told, counted {value}",
                self.question
            );
        }
    }

    /// As [`Numbers::are`], of a list that need not have everybody.
    pub fn among(&mut self, field: &str, counted: &Counted) -> Counted {
        let told = self.take(field);
        for (name, value) in &told {
            self.assert_near(field, name, *value, counted.get(name).copied().unwrap_or_default());
        }
        told
    }

    /// Of a list that has the first so many, the most first.
    pub fn are_the_most(&mut self, field: &str, counted: &Counted, limit: usize) {
        let told = self.among(field, counted);
        let mut most: Vec<f64> = counted.values().copied().filter(|value| *value > 0.0).collect();
        most.sort_by(|one, other| other.total_cmp(one));
        most.truncate(limit);
        let mut shown: Vec<f64> = told.into_values().collect();
        shown.sort_by(|one, other| other.total_cmp(one));
        assert_eq!(shown, most, "{}: {field}", self.question);
    }

    /// Names of the entries of a list by one of its fields.
    pub fn names(&self, field: &str) -> BTreeSet<String> {
        self.left.get(field).map(|told| told.keys().cloned().collect()).unwrap_or_default()
    }

    /// Fields that another test recounts. `test` is its name, so that a search finds it.
    pub fn leave(&mut self, beginning: &str, _test: &str) {
        self.left.retain(|field, _| !field.starts_with(beginning));
    }

    /// Page and limit as asked for, and everybody who is listed when all fit on one page.
    pub fn is_one_page(&mut self, limit: u32, listed: usize) {
        self.is("page", 1);
        self.is("limit", limit);
        self.is("total", listed as f64);
    }

    /// Panics with what no comparison was made of.
    pub fn are_all_compared(self) {
        assert!(self.left.is_empty(), "{}: nobody recounted {:#?}", self.question, self.left);
    }

    fn assert_near(&self, field: &str, name: &str, told: f64, counted: f64) {
        // Answers have one decimal of percentages and metres, two of ratios, three of damage and distances.
        let decimals = if ["percent", "accuracy", "rate", "metres"].iter().any(|it| field.ends_with(it)) {
            0.0501
        } else {
            0.00501
        };
        assert!(
            (told - counted).abs() <= decimals,
            "{}: {field} of {name} is {told}, counted {counted}",
            self.question
        );
    }
}

fn name_of(entry: &Value, place: usize) -> String {
    let part = |key: &&str| match &entry[*key] {
        Value::String(word) => Some(word.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let named = NAMES.iter().find_map(|keys| keys.iter().map(part).collect::<Option<Vec<String>>>());
    match (named, entry) {
        (Some(parts), _) => parts.join(" "),
        // What no event named.
        (None, Value::Object(_)) => String::new(),
        (None, _) => place.to_string(),
    }
}
