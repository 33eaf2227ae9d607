//! Query parameters: nested filters (`filter[map]=dm/mohdm1`), paging, and one error that names every mistake.
//!
//! `serde_qs` reads the text into names and values; a [`QueryShape`] says which of them an endpoint takes. The same
//! shape is what the OpenAPI document lists, so the two can't differ. An unknown parameter is an error, because a
//! filter that is silently ignored gives a wrong answer that looks right. An empty value is absent: browsers send
//! every field of a form.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use url::form_urlencoded;

use super::ApiError;

/// One query parameter as documented.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub description: &'static str,
    pub example: &'static str,
}

/// Which query parameters an endpoint takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct QueryShape {
    pub parameters: &'static [Parameter],
    /// Names inside `filter[…]`.
    pub filters: &'static [Parameter],
    pub paged: bool,
}

pub const PAGE: Parameter =
    Parameter { name: "page", description: "Page of the list, from 1 on (default 1).", example: "1" };
pub const LIMIT: Parameter =
    Parameter { name: "limit", description: "Entries a page, 1 to 100 (default 25).", example: "25" };

pub const FORMAT: Parameter = Parameter {
    name: "format",
    description: "json (default), or the rows alone as csv or ndjson, up to 1,000 a page.",
    example: "csv",
};

const DEFAULT_LIMIT: u32 = 25;
const MAX_LIMIT: u32 = 100;
/// A file is no page to look at. Its rows' ids go into the statements that fetch their names.
const MAX_FILE_LIMIT: u32 = 1_000;
/// Bounds the offset that a store has to skip.
const MAX_PAGE: u32 = 1_000_000;
/// No real value comes near; keeps hostile ones out of queries and logs.
const MAX_VALUE_BYTES: usize = 256;

/// How a list is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Json,
    Csv,
    Ndjson,
}

impl Format {
    fn from_word(word: &str) -> Result<Self, String> {
        match word {
            "json" => Ok(Format::Json),
            "csv" => Ok(Format::Csv),
            "ndjson" => Ok(Format::Ndjson),
            _ => Err("must be json, csv or ndjson".to_owned()),
        }
    }
}

/// A page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging {
    /// From 1 on.
    pub page: u32,
    pub limit: u32,
}

impl Default for Paging {
    fn default() -> Self {
        Paging { page: 1, limit: DEFAULT_LIMIT }
    }
}

impl Paging {
    pub fn offset(self) -> u64 {
        u64::from(self.page - 1) * u64::from(self.limit)
    }

    /// The page out of a list that is small enough to be read whole.
    pub fn cut<T>(self, all: Vec<T>) -> Vec<T> {
        let offset = usize::try_from(self.offset()).unwrap_or(usize::MAX);
        all.into_iter().skip(offset).take(self.limit as usize).collect()
    }
}

/// The parameters of one request, checked against their shape. Values are taken out one by one; mistakes collect
/// until [`QueryValues::finish`] tells them all at once.
#[derive(Debug, Default)]
pub struct QueryValues {
    parameters: BTreeMap<String, String>,
    filters: BTreeMap<String, String>,
    format: Format,
    mistakes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawValue {
    Text(String),
    Nested(BTreeMap<String, RawValue>),
    Other(IgnoredAny),
}

impl QueryShape {
    /// Every parameter with its name as it stands in a URL.
    pub fn documented(&self) -> Vec<(String, Parameter)> {
        let paging: &[Parameter] = if self.paged { &[PAGE, LIMIT] } else { &[] };
        let plain = self.parameters.iter().chain(paging).map(|it| (it.name.to_owned(), *it));
        plain.chain(self.filters.iter().map(|it| (format!("filter[{}]", it.name), *it))).collect()
    }

    /// What of a query string is meant for this shape, of a page of which several parts take parameters.
    pub fn only(&self, query_string: &str) -> String {
        let known: Vec<String> = self.documented().into_iter().map(|(name, _)| name).collect();
        let ours = form_urlencoded::parse(query_string.as_bytes())
            .filter(|(name, _)| known.iter().any(|it| it == name));
        form_urlencoded::Serializer::new(String::new()).extend_pairs(ours).finish()
    }

    /// Reads a request's query string. Unknown and misshapen parameters become mistakes.
    pub fn read(&self, query_string: &str) -> QueryValues {
        let mut values = QueryValues::default();
        let decoded: Result<BTreeMap<String, RawValue>, _> = serde_qs::Config::new()
            .use_form_encoding(true)
            .deserialize_str(&with_plain_brackets(query_string));
        let raw = match decoded {
            Ok(raw) => raw,
            Err(error) => {
                values.mistakes.insert("query".to_owned(), format!("can't be read: {error}"));
                return values;
            }
        };
        for (name, value) in raw {
            match (name.as_str(), value) {
                (_, RawValue::Text(text)) if text.trim().is_empty() => {}
                ("filter", RawValue::Nested(filters)) => self.read_filters(filters, &mut values),
                ("filter", _) => values.mistake("filter", "write filters as filter[name]=value"),
                (name, RawValue::Text(text)) if self.takes(name) => {
                    keep(name, name, text, &mut values.parameters, &mut values.mistakes);
                }
                (name, _) if self.takes(name) => values.mistake(name, "takes one plain value"),
                (name, _) => {
                    let allowed = self.documented().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
                    values.mistake(name, &unknown("parameter", &allowed));
                }
            }
        }
        values.format = values.parsed_parameter(FORMAT.name, Format::from_word).unwrap_or_default();
        values
    }

    fn takes(&self, name: &str) -> bool {
        self.parameters.iter().any(|it| it.name == name)
            || (self.paged && (name == "page" || name == "limit"))
    }

    fn read_filters(&self, filters: BTreeMap<String, RawValue>, values: &mut QueryValues) {
        for (name, value) in filters {
            let full_name = format!("filter[{name}]");
            match value {
                RawValue::Text(text) if text.trim().is_empty() => {}
                _ if !self.filters.iter().any(|it| it.name == name) => {
                    let allowed: Vec<String> = self.filters.iter().map(|it| it.name.to_owned()).collect();
                    values.mistake(&full_name, &unknown("filter", &allowed));
                }
                RawValue::Text(text) => {
                    keep(&full_name, &name, text, &mut values.filters, &mut values.mistakes);
                }
                _ => values.mistake(&full_name, "takes one plain value"),
            }
        }
    }
}

/// The names of a query string with their brackets written plainly, each followed by `=`: `serde_qs` knows only one
/// spelling of an encoded bracket, and takes a name without `=` for something else than an empty value.
fn with_plain_brackets(query_string: &str) -> String {
    let plain = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = name.replace("%5B", "[").replace("%5b", "[").replace("%5D", "]").replace("%5d", "]");
        format!("{name}={value}")
    };
    let pairs: Vec<String> = query_string.split('&').filter(|pair| !pair.is_empty()).map(plain).collect();
    pairs.join("&")
}

fn unknown(what: &str, allowed: &[String]) -> String {
    match allowed {
        [] => format!("unknown {what}: none is taken here"),
        names => format!("unknown {what}: allowed are {}", names.join(", ")),
    }
}

fn keep(
    full_name: &str,
    name: &str,
    text: String,
    kept: &mut BTreeMap<String, String>,
    mistakes: &mut BTreeMap<String, String>,
) {
    let text = text.trim();
    if text.len() > MAX_VALUE_BYTES || text.chars().any(char::is_control) {
        mistakes.insert(full_name.to_owned(), "is too long or holds control characters".to_owned());
        return;
    }
    kept.insert(name.to_owned(), text.to_owned());
}

impl QueryValues {
    pub fn mistake(&mut self, name: &str, why: &str) {
        self.mistakes.entry(name.to_owned()).or_insert_with(|| why.to_owned());
    }

    /// The value of a plain parameter, absent when empty.
    pub fn parameter(&mut self, name: &str) -> Option<String> {
        self.parameters.remove(name)
    }

    /// The value of `filter[name]`, absent when empty.
    pub fn filter(&mut self, name: &str) -> Option<String> {
        self.filters.remove(name)
    }

    /// `filter[name]` read by `parse`; a value that it refuses becomes a mistake.
    pub fn parsed_filter<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.filter(name)?;
        parse(&text).map_err(|why| self.mistake(&format!("filter[{name}]"), &why)).ok()
    }

    /// A plain parameter read by `parse`; a value that it refuses becomes a mistake.
    pub fn parsed_parameter<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.parameter(name)?;
        parse(&text).map_err(|why| self.mistake(name, &why)).ok()
    }

    /// JSON unless the shape takes [`FORMAT`] and another one was asked for.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Files take more rows than pages, and as many as they may unless something else is asked for.
    pub fn paging(&mut self) -> Paging {
        let (default, most) = match self.format {
            Format::Json => (DEFAULT_LIMIT, MAX_LIMIT),
            Format::Csv | Format::Ndjson => (MAX_FILE_LIMIT, MAX_FILE_LIMIT),
        };
        let page = self.parsed_parameter("page", |text| whole_number(text, MAX_PAGE));
        let limit = self.parsed_parameter("limit", |text| whole_number(text, most));
        Paging { page: page.unwrap_or(1), limit: limit.unwrap_or(default) }
    }

    /// Whether everything could be used, else every mistake at once.
    pub fn finish(self) -> Result<(), ApiError> {
        if self.mistakes.is_empty() { Ok(()) } else { Err(ApiError::invalid(self.mistakes)) }
    }
}

pub fn whole_number(text: &str, max: u32) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|number| (1..=max).contains(number))
        .ok_or_else(|| format!("must be a whole number from 1 to {max}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const MAP: Parameter = Parameter { name: "map", description: "", example: "" };
    const STAT: Parameter = Parameter { name: "stat", description: "", example: "" };
    const SHAPE: QueryShape = QueryShape { parameters: &[STAT], filters: &[MAP], paged: true };

    fn mistakes(query: &str) -> Vec<String> {
        let mut values = SHAPE.read(query);
        values.paging();
        values.finish().err().map(|error| error.fields().keys().cloned().collect()).unwrap_or_default()
    }

    #[test]
    fn brackets_are_read_plain_and_percent_encoded() {
        for query in
            ["filter[map]=dm/mohdm1", "filter%5Bmap%5D=dm%2Fmohdm1", "filter%5bmap%5d=dm/mohdm1&stat="]
        {
            assert_eq!(SHAPE.read(query).filter("map").as_deref(), Some("dm/mohdm1"), "{query}");
        }
    }

    #[test]
    fn an_empty_value_is_absent() {
        for query in [
            "filter[map]=&page=&limit=&stat=",
            "filter[map]",
            "stat",
            "",
            "&&",
            "filter=",
            "other=&filter[other]=",
        ] {
            let mut values = SHAPE.read(query);
            assert_eq!(values.filter("map"), None, "{query}");
            assert_eq!(values.parameter("stat"), None, "{query}");
            assert_eq!(values.paging(), Paging::default(), "{query}");
            assert!(values.finish().is_ok(), "{query}");
        }
    }

    #[test]
    fn unknown_names_are_mistakes_of_their_own_field() {
        assert_eq!(mistakes("filter[nope]=1"), ["filter[nope]"]);
        assert_eq!(mistakes("filter%5Bnope%5D=1&sort=x"), ["filter[nope]", "sort"]);
        assert_eq!(mistakes("filter=map"), ["filter"]);
        assert_eq!(mistakes("filter[]=map").len(), 1);
        assert_eq!(mistakes("filter[map][x]=1"), ["filter[map]"]);
        assert_eq!(mistakes("stat[x]=1"), ["stat"]);
    }

    #[test]
    fn paging_out_of_range_is_a_mistake() {
        for query in ["page=0", "page=-1", "page=x", "page=1.5", "page=99999999999"] {
            assert_eq!(mistakes(query), ["page"], "{query}");
        }
        for query in ["limit=0", "limit=101", "limit=ten"] {
            assert_eq!(mistakes(query), ["limit"], "{query}");
        }
        assert_eq!(SHAPE.read("page=3&limit=100").paging(), Paging { page: 3, limit: 100 });
        assert_eq!(Paging { page: 3, limit: 100 }.offset(), 200);
    }

    #[test]
    fn form_encoding_reads_plus_as_space() {
        assert_eq!(SHAPE.read("filter[map]=a+b").filter("map").as_deref(), Some("a b"));
    }
}
