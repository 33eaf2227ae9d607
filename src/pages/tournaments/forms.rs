//! What was typed into a tournament's forms, as the calls of the API take it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::http::{ApiError, from_json};
use crate::tournaments::{ResultBody, Terms};

/// Fields by name.
pub type Fields = BTreeMap<String, String>;

/// Games that a form has room for.
pub const MOST_GAMES: usize = 7;

/// The terms of a form: the version of the tournament that its page showed, where that matters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    version: Option<u64>,
}

impl Sent {
    /// As it stands in the field `version`.
    ///
    /// # Errors
    /// 422 for something that is no version.
    pub fn of(fields: &Fields) -> Result<Self, ApiError> {
        let version = match said(fields, "version") {
            None => None,
            Some(text) => {
                Some(text.parse().map_err(|_| ApiError::invalid_field("version", "load the page again"))?)
            }
        };
        Ok(Sent { version })
    }
}

impl Terms for Sent {
    fn expected_version(&self) -> Result<Option<u64>, ApiError> {
        Ok(self.version)
    }

    fn idempotency_key(&self) -> Result<Option<String>, ApiError> {
        Ok(None)
    }
}

/// What was typed into a field; browsers send an empty text where nothing was.
pub fn said<'a>(fields: &'a Fields, name: &str) -> Option<&'a str> {
    fields.get(name).map(|text| text.trim()).filter(|text| !text.is_empty())
}

/// A whole number.
///
/// # Errors
/// 422 that names the field.
pub fn number(fields: &Fields, name: &str) -> Result<Option<u32>, ApiError> {
    let not_a_number = |_| ApiError::invalid_field(name, "must be a whole number");
    said(fields, name).map(|text| text.parse().map_err(not_a_number)).transpose()
}

/// A result: `score1`, `score2`, `winner`, `forfeit`, and of each game `game1_map`, `game1_score1`, `game1_score2` and so on. Where only
/// games were told the score follows from them.
///
/// # Errors
/// 422 that names the field.
pub fn result(fields: &Fields, best_of: u8) -> Result<ResultBody, ApiError> {
    let mut body = Map::new();
    let mut games = Vec::new();
    for game in 1..=MOST_GAMES {
        let score1 = number(fields, &format!("game{game}_score1"))?;
        let score2 = number(fields, &format!("game{game}_score2"))?;
        match (score1, score2) {
            (None, None) => {}
            (Some(score1), Some(score2)) => {
                let map = said(fields, &format!("game{game}_map"));
                games.push(json!({ "map": map, "score1": score1, "score2": score2 }));
            }
            _ => return Err(ApiError::invalid_field(&format!("game {game}"), "needs both scores")),
        }
    }
    let mut scores = [number(fields, "score1")?, number(fields, "score2")?];
    if scores == [None, None] && !games.is_empty() {
        scores = of_games(&games, best_of);
    }
    for (name, score) in [("score1", scores[0]), ("score2", scores[1])] {
        if let Some(score) = score {
            body.insert(name.to_owned(), score.into());
        }
    }
    if !games.is_empty() {
        body.insert("games".to_owned(), games.into());
    }
    if let Some(winner) = number(fields, "winner")? {
        body.insert("winner".to_owned(), winner.into());
    }
    let forfeit = match said(fields, "forfeit") {
        Some("both") => Some(json!("both")),
        Some(text) => Some(json!(text.parse::<u8>().unwrap_or(0))),
        None => None,
    };
    if let Some(forfeit) = forfeit {
        body.insert("forfeit".to_owned(), forfeit);
    }
    from_json(Value::Object(body))
}

/// The score of one game, or else games won.
fn of_games(games: &[Value], best_of: u8) -> [Option<u32>; 2] {
    let score = |game: &Value, side: &str| game[side].as_u64().and_then(|score| u32::try_from(score).ok());
    match (best_of, games) {
        (1, [game]) => [score(game, "score1"), score(game, "score2")],
        _ => {
            let won = |one: &str, other: &str| {
                let wins = games.iter().filter(|game| score(game, one) > score(game, other)).count();
                u32::try_from(wins).ok()
            };
            [won("score1", "score2"), won("score2", "score1")]
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn games_alone_tell_the_score() {
        let series = fields(&[
            ("score1", ""),
            ("score2", " "),
            ("game1_map", "dm/mohdm1"),
            ("game1_score1", "10"),
            ("game1_score2", "4"),
            ("game2_score1", "3"),
            ("game2_score2", "10"),
            ("game3_score1", "10"),
            ("game3_score2", "9"),
        ]);
        let body = result(&series, 3).unwrap();
        assert_eq!((body.score1, body.score2, body.games.len()), (Some(2), Some(1), 3));
        assert_eq!(body.games[0].map.as_deref(), Some("dm/mohdm1"));
        let single = fields(&[("game1_score1", "10"), ("game1_score2", "4")]);
        let body = result(&single, 1).unwrap();
        assert_eq!((body.score1, body.score2), (Some(10), Some(4)));
    }

    #[test]
    fn what_is_no_number_is_named() {
        let error = result(&fields(&[("score1", "two"), ("score2", "1")]), 1).unwrap_err();
        assert_eq!(error.fields().keys().collect::<Vec<_>>(), ["score1"]);
        let error = result(&fields(&[("game2_score1", "2")]), 3).unwrap_err();
        assert_eq!(error.fields().keys().collect::<Vec<_>>(), ["game 2"]);
    }
}
