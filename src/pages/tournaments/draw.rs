//! The bracket as one SVG picture: to be printed, and shown by other sites. It follows the theme of whoever looks at it.

use std::fmt::Write as _;
use std::sync::LazyLock;

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mohaa_domain::name::strip_colors;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::Page;
use super::bracket::{Scores, sections};
use super::embed::embeddable;
use super::shown::Seen;
use crate::access::Anyone;
use crate::http::caching;
use crate::http::query::QueryShape;
use crate::pages::text;
use crate::tournaments::Tournaments;

/// All lengths are the picture's own units, of which a browser makes pixels.
const BOX_WIDTH: f64 = 208.0;
const BOX_HEIGHT: f64 = 46.0;
const COLUMN: f64 = BOX_WIDTH + 40.0;
const ROW: f64 = BOX_HEIGHT + 18.0;
const MARGIN: f64 = 16.0;
const HEAD: f64 = 34.0;
const ROUND_HEAD: f64 = 22.0;
const SCORE_WIDTH: f64 = 34.0;

const STYLE: &str = "svg{font-family:system-ui,sans-serif;font-variant-numeric:tabular-nums}\
.g{fill:#e8e2cd}.b{fill:#f6f2e4;stroke:#7c7657}.w{stroke:#65500f;stroke-width:2}.l{fill:none;stroke:#7c7657}\
text{fill:#1b2013;font-size:13px}.m{fill:#55583f;font-size:11px}.h{font-size:18px;font-weight:700}.x{fill:#55583f}.v{font-weight:700}\
@media (prefers-color-scheme:dark){.g{fill:#11150d}.b{fill:#1b2115;stroke:#707c59}.w{stroke:#dec47f}.l{stroke:#707c59}\
text{fill:#ece7d4}.m,.x{fill:#b4b297}}\
@media print{.g{fill:#fff}.b{fill:#fff;stroke:#000}.l{stroke:#000}text,.m,.x{fill:#000}}";

/// The picture's own style is all it holds beside shapes and text.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!("default-src 'none'; style-src 'sha256-{}'", STANDARD.encode(Sha256::digest(STYLE)))
});

pub async fn picture(
    _: Anyone,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
) -> Page {
    QueryShape::default().read(request.query_string()).finish()?;
    let seen = Seen::of(&tournaments, Anyone(None), *id).await?;
    let name = &seen.current.tournament.settings.name;
    let svg = drawn(name, &sections(&seen, &Scores::new())?);
    let answer = caching::conditional(&request, svg.into_bytes(), "image/svg+xml", "no-cache");
    embeddable(&request, &POLICY, answer)
}

/// The same under an address that is clearly meant for other sites.
pub async fn embedded_picture(
    anyone: Anyone,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
) -> Page {
    picture(anyone, request, tournaments, id).await
}

/// Escaped, and without the codes of colours: a picture has its own.
fn plain(name: &str) -> String {
    let mut escaped = Vec::new();
    // Writing to memory can't fail.
    let _ = text::escape(&strip_colors(name), &mut escaped);
    String::from_utf8_lossy(&escaped).into_owned()
}

struct Picture {
    body: String,
    width: f64,
    height: f64,
}

/// `sections` as `bracket::sections` makes them.
fn drawn(name: &str, sections: &Value) -> String {
    let mut picture = Picture { body: String::new(), width: 320.0, height: MARGIN + HEAD };
    let parts: Vec<&Value> = sections.as_array().into_iter().flatten().collect();
    if parts.is_empty() {
        picture.text(MARGIN, picture.height, "m", "The bracket is drawn when the tournament starts");
        picture.height += ROW;
    }
    for part in parts {
        picture.part(part);
    }
    let (width, height) = (picture.width + MARGIN, picture.height + MARGIN);
    let name = plain(name);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" \
         aria-label=\"Bracket of {name}\"><title>Bracket of {name}</title><style>{STYLE}</style>\
         <rect class=\"g\" width=\"{width}\" height=\"{height}\"/><text class=\"h\" x=\"{MARGIN}\" y=\"{}\">{name}</text>{}</svg>",
        MARGIN + 16.0,
        picture.body
    )
}

impl Picture {
    fn text(&mut self, x: f64, y: f64, class: &str, escaped: &str) {
        let _ = write!(self.body, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{escaped}</text>");
    }

    fn part(&mut self, part: &Value) {
        self.height += ROUND_HEAD;
        self.text(MARGIN, self.height, "v", &plain(part["name"].as_str().unwrap_or_default()));
        self.height += ROUND_HEAD;
        let top = self.height + 8.0;
        let rounds: Vec<&Value> = part["rounds"].as_array().into_iter().flatten().collect();
        let mut middles: Vec<f64> = Vec::new();
        let mut bottom = top;
        for (column, round) in rounds.iter().enumerate() {
            let x = MARGIN + column as f64 * COLUMN;
            self.text(x, self.height, "m", &plain(round["name"].as_str().unwrap_or_default()));
            let matches: Vec<&Value> = round["matches"].as_array().into_iter().flatten().collect();
            let comes_from =
                if column == 0 { "" } else { rounds[column - 1]["leads"].as_str().unwrap_or("") };
            let at: Vec<f64> = (0..matches.len())
                .map(|number| {
                    match (comes_from, middles.get(number), middles.get(number * 2..=number * 2 + 1)) {
                        ("straight", Some(before), _) => *before,
                        ("joined", _, Some([upper, lower])) => (upper + lower) / 2.0,
                        _ => top + number as f64 * ROW + BOX_HEIGHT / 2.0,
                    }
                })
                .collect();
            for (number, one) in matches.iter().enumerate() {
                if one["is_bye"] == true {
                    continue;
                }
                let middle = at[number];
                self.one(x, middle - BOX_HEIGHT / 2.0, one);
                bottom = bottom.max(middle + BOX_HEIGHT / 2.0);
                let feeders: &[usize] = match comes_from {
                    "straight" => &[number],
                    "joined" => &[number * 2, number * 2 + 1],
                    _ => &[],
                };
                for feeder in feeders {
                    let before = rounds[column - 1]["matches"].get(*feeder);
                    let is_shown = before.is_some_and(|before| before["is_bye"] != true);
                    if let (true, Some(from)) = (is_shown, middles.get(*feeder)) {
                        let (start, bend) = (x - COLUMN + BOX_WIDTH, x - (COLUMN - BOX_WIDTH) / 2.0);
                        let _ = write!(
                            self.body,
                            "<path class=\"l\" d=\"M{start} {from}H{bend}V{middle}H{x}\"/>"
                        );
                    }
                }
            }
            middles = at;
            self.width = self.width.max(x + BOX_WIDTH);
        }
        self.height = bottom + MARGIN;
    }

    fn one(&mut self, x: f64, y: f64, one: &Value) {
        let is_open = matches!(one["status"].as_str(), Some("ready" | "running"));
        let class = if is_open { "b w" } else { "b" };
        let _ = write!(
            self.body,
            "<g><title>{}</title><rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{BOX_WIDTH}\" height=\"{BOX_HEIGHT}\"/>",
            plain(one["key"].as_str().unwrap_or_default())
        );
        let half = BOX_HEIGHT / 2.0;
        for (number, slot) in one["slots"].as_array().into_iter().flatten().enumerate() {
            let top = y + number as f64 * half;
            let won = slot["result"] == "win";
            let (name, class) = match slot["name"].as_str() {
                Some(name) if won => (plain(name), "v"),
                Some(name) => (plain(name), ""),
                None => (plain(slot["waits_for"].as_str().unwrap_or_default()), "x"),
            };
            // A picture of its own cuts a name that is too long off.
            let _ = write!(
                self.body,
                "<svg x=\"{x}\" y=\"{top}\" width=\"{}\" height=\"{half}\"><text class=\"{class}\" x=\"8\" y=\"16\">{name}</text></svg>",
                BOX_WIDTH - SCORE_WIDTH
            );
            if let Some(score) = slot["score"].as_u64() {
                let _ = write!(
                    self.body,
                    "<text class=\"{class}\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{score}</text>",
                    x + BOX_WIDTH - 8.0,
                    top + 16.0
                );
            }
        }
        let middle = y + half;
        let _ = write!(self.body, "<path class=\"l\" d=\"M{x} {middle}h{BOX_WIDTH}\"/></g>");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(key: &str, names: [&str; 2]) -> Value {
        let slot = |name: &str| json!({ "name": name, "score": 1, "result": "win", "waits_for": null });
        json!({ "key": key, "status": "completed", "is_bye": false, "slots": [slot(names[0]), slot(names[1])] })
    }

    #[test]
    fn a_name_is_text_in_the_picture_too() {
        let name = "^1</text><script>alert(1)</script>\"&";
        let part = json!([{ "name": "Bracket", "rounds": [{ "name": "Final", "leads": "", "matches": [one("R1.1", [name, name])] }] }]);
        let svg = drawn(name, &part);
        assert!(!svg.contains("<script") && !svg.contains("^1"), "{svg}");
        assert!(svg.contains("&lt;/text&gt;&lt;script&gt;alert(1)"), "{svg}");
    }

    #[test]
    fn a_match_stands_between_those_that_lead_to_it() {
        let round =
            |leads: &str, matches: Vec<Value>| json!({ "name": "", "leads": leads, "matches": matches });
        let first = vec![one("R1.1", ["a", "b"]), one("R1.2", ["c", "d"])];
        let part = json!([{ "name": "Bracket", "rounds": [round("joined", first), round("", vec![one("R2.1", ["a", "c"])])] }]);
        let svg = drawn("Cup", &part);
        let lines = svg.matches("<path class=\"l\" d=\"M").filter(|_| true).count();
        assert_eq!(lines, 5, "a line in each of three boxes, and one from each feeder: {svg}");
    }
}
