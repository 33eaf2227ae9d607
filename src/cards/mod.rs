//! What other sites show of a page when somebody links to it there (`og:image`): 1200 × 630 pixels in the site's look by night, with
//! what the page is about and its few most telling figures.
//!
//! Pure: pages say what stands on a card, [`crate::pictures`] draws it once and keeps it.

mod faces;
mod line;

pub use faces::FaceError;

use std::ops::RangeInclusive;

use faces::{Face, Faces};
use line::Line;

use crate::pictures::{Canvas, Colour, Drawing, PictureError};

pub const WIDTH: u32 = 1200;
pub const HEIGHT: u32 = 630;

/// Figures and rows that have room.
pub const MOST_FIGURES: usize = 4;
pub const MOST_RANKS: usize = 3;

/// Grid, contours and mark: `ground.svg`, drawn by `ops/card-ground.sh`.
const GROUND: &[u8] = include_bytes!("ground.png");

/// Colours by night, as `static/css/tokens.css` has them.
const PLATE: Colour = [0x1b, 0x21, 0x15];
const LINE: Colour = [0x38, 0x42, 0x2d];
const TEXT: Colour = [0xec, 0xe7, 0xd4];
const MUTED: Colour = [0xb4, 0xb2, 0x97];
const SAND: Colour = [0xde, 0xc4, 0x7f];
const ON_SAND: Colour = [0x16, 0x1a, 0x0f];
const ALLIES: Colour = [0x8b, 0xbd, 0xec];
const ALLIES_GROUND: Colour = [0x1a, 0x2a, 0x38];
const AXIS: Colour = [0xf3, 0x9a, 0x8a];
const AXIS_GROUND: Colour = [0x38, 0x20, 0x1a];

/// Everything that stands on a card. Names are raw: their colour codes become colours.
#[derive(Clone, Debug)]
pub struct Card {
    /// What kind of page it is.
    pub kind: &'static str,
    /// Marked as going on at this moment.
    pub is_live: bool,
    pub title: String,
    pub body: Body,
    /// When, where, how.
    pub footer: Vec<String>,
}

#[derive(Clone, Debug)]
pub enum Body {
    /// Allies and axis.
    Sides([Side; 2]),
    /// Up to [`MOST_RANKS`], the first one largest.
    Ranks(Vec<Rank>),
    /// Up to [`MOST_FIGURES`].
    Figures(Vec<Figure>),
}

#[derive(Clone, Debug)]
pub struct Side {
    pub score: i32,
    pub has_won: bool,
    /// Raw name and kills of its first.
    pub best: Option<(String, u64)>,
}

#[derive(Clone, Debug)]
pub struct Rank {
    pub place: String,
    pub name: String,
    pub figure: String,
}

#[derive(Clone, Debug)]
pub struct Figure {
    pub value: String,
    pub label: &'static str,
}

/// All lengths below are pixels.
const LEFT: f32 = 72.0;
const RIGHT: f32 = WIDTH as f32 - LEFT;
const GAP: usize = 24;
const BODY_TOP: usize = 272;
const BODY_BOTTOM: usize = 504;

impl Drawing for Card {
    fn identity(&self) -> Vec<u8> {
        // Texts are quoted, so that no two cards are written alike.
        format!("{self:?}").into_bytes()
    }

    fn png(&self) -> Result<Vec<u8>, PictureError> {
        let faces = Faces::get().map_err(PictureError::Faces)?;
        let mut canvas = Canvas::on(GROUND).map_err(PictureError::Ground)?;
        let mut sheet = Sheet { canvas: &mut canvas, faces };
        sheet.head(self);
        match &self.body {
            Body::Sides(sides) => sheet.sides(sides),
            Body::Ranks(ranks) => sheet.ranks(ranks),
            Body::Figures(figures) => sheet.figures(figures),
        }
        sheet.plain(&faces.text, &self.footer.join("  ·  "), MUTED, RIGHT - LEFT, 20.0..=26.0).write(
            sheet.canvas,
            LEFT,
            582.0,
        );
        canvas.png().map_err(PictureError::Encode)
    }
}

struct Sheet<'a> {
    canvas: &'a mut Canvas,
    faces: &'static Faces,
}

impl Sheet<'_> {
    fn plain(
        &self,
        face: &'static Face,
        text: &str,
        colour: Colour,
        width: f32,
        sizes: RangeInclusive<f32>,
    ) -> line::Fitted<'static> {
        Line::plain(face, text, colour).fitting(width, sizes)
    }

    fn head(&mut self, card: &Card) {
        let Faces { display, text } = self.faces;
        self.plain(display, "mohaa-stats", TEXT, 400.0, 44.0..=44.0).write(self.canvas, LEFT + 72.0, 97.0);
        let kind = self.plain(text, card.kind, MUTED, 500.0, 26.0..=26.0);
        kind.write_to(self.canvas, RIGHT, 92.0);
        if card.is_live {
            let live = self.plain(text, "Live", ON_SAND, 100.0, 26.0..=26.0);
            let left = RIGHT - kind.width() - live.width() - 60.0;
            self.canvas.fill(left as usize, 62, live.width() as usize + 32, 42, SAND);
            live.write(self.canvas, left + 16.0, 92.0);
        }
        let title = Line::name(display, &card.title, TEXT).fitting(RIGHT - LEFT, 36.0..=96.0);
        title.write(self.canvas, LEFT, 226.0);
    }

    fn sides(&mut self, sides: &[Side; 2]) {
        let Faces { display, text } = self.faces;
        let width = ((RIGHT - LEFT) as usize - GAP) / 2;
        let looks = [("Allies", ALLIES, ALLIES_GROUND), ("Axis", AXIS, AXIS_GROUND)];
        for (index, (side, (word, colour, ground))) in sides.iter().zip(looks).enumerate() {
            let left = LEFT as usize + index * (width + GAP);
            self.plate(left, width, if side.has_won { colour } else { LINE }, ground);
            let (inner_left, inner_right) = ((left + 28) as f32, (left + width - 28) as f32);
            match index {
                0 => self.canvas.fill(left + 28, BODY_TOP + 34, 30, 22, colour),
                _ => self.diamond((left + 43, BODY_TOP + 45), 15, colour),
            }
            let word = if side.has_won { format!("{word} won") } else { word.to_owned() };
            self.plain(text, &word, colour, 300.0, 30.0..=30.0).write(
                self.canvas,
                inner_left + 46.0,
                (BODY_TOP + 56) as f32,
            );
            let score = self.plain(display, &side.score.to_string(), TEXT, 240.0, 40.0..=132.0);
            score.write_to(self.canvas, inner_right, (BODY_TOP + 126) as f32);
            let Some((name, kills)) = &side.best else { continue };
            let room = inner_right - inner_left;
            let name = Line::name(text, name, TEXT).fitting(room, 14.0..=36.0);
            name.write(self.canvas, inner_left, (BODY_BOTTOM - 66) as f32);
            let kills = self.plain(text, &counted(*kills, "kill", "kills"), MUTED, room, 24.0..=24.0);
            kills.write(self.canvas, inner_left, (BODY_BOTTOM - 28) as f32);
        }
    }

    fn ranks(&mut self, ranks: &[Rank]) {
        let Faces { display, text } = self.faces;
        let width = (RIGHT - LEFT) as usize;
        self.plate(LEFT as usize, width, LINE, PLATE);
        let (left, right) = (LEFT + 28.0, RIGHT - 28.0);
        for (index, rank) in ranks.iter().take(MOST_RANKS).enumerate() {
            let (baseline, size) = [(348.0, 56.0), (422.0, 38.0), (480.0, 38.0)][index];
            let place = self.plain(display, &rank.place, SAND, 60.0, 24.0..=size);
            place.write(self.canvas, left, baseline);
            let figure = self.plain(text, &rank.figure, MUTED, 320.0, 22.0..=28.0);
            figure.write_to(self.canvas, right, baseline);
            let room = right - left - 56.0 - figure.width() - 24.0;
            let name = Line::name(text, &rank.name, TEXT).fitting(room, 22.0..=size * 0.9);
            name.write(self.canvas, left + 56.0, baseline);
        }
    }

    fn figures(&mut self, figures: &[Figure]) {
        let Faces { display, text } = self.faces;
        let figures = &figures[..figures.len().min(MOST_FIGURES)];
        let width = ((RIGHT - LEFT) as usize - GAP * figures.len().saturating_sub(1)) / figures.len().max(1);
        let room = (width - 48) as f32;
        let values: Vec<_> =
            figures.iter().map(|one| self.plain(display, &one.value, TEXT, room, 26.0..=104.0)).collect();
        let labels: Vec<_> =
            figures.iter().map(|one| self.plain(text, one.label, MUTED, room, 18.0..=28.0)).collect();
        // Figures that stand beside each other are of one size.
        let least =
            |lines: &[line::Fitted<'_>]| lines.iter().map(line::Fitted::size).fold(f32::MAX, f32::min);
        let (value_size, label_size) = (least(&values), least(&labels));
        for (index, (value, label)) in values.into_iter().zip(labels).enumerate() {
            let left = LEFT as usize + index * (width + GAP);
            self.plate(left, width, LINE, PLATE);
            let inner = (left + 24) as f32;
            value.at_most(value_size).write(self.canvas, inner, (BODY_TOP + 132) as f32);
            label.at_most(label_size).write(self.canvas, inner, (BODY_BOTTOM - 36) as f32);
        }
    }

    /// A sheet between the title and the footer, with the two corner marks of the pages' plates.
    fn plate(&mut self, left: usize, width: usize, edge: Colour, ground: Colour) {
        let height = BODY_BOTTOM - BODY_TOP;
        self.canvas.fill(left, BODY_TOP, width, height, edge);
        self.canvas.fill(left + 2, BODY_TOP + 2, width - 4, height - 4, ground);
        const MARK: usize = 18;
        let (right, bottom) = (left + width, BODY_BOTTOM);
        for (x, y, wide, high) in [
            (left, BODY_TOP, MARK, 4),
            (left, BODY_TOP, 4, MARK),
            (right - MARK, bottom - 4, MARK, 4),
            (right - 4, bottom - MARK, 4, MARK),
        ] {
            self.canvas.fill(x, y, wide, high, SAND);
        }
    }

    fn diamond(&mut self, (x, y): (usize, usize), radius: usize, colour: Colour) {
        for row in 0..=2 * radius {
            let half = radius - row.abs_diff(radius);
            self.canvas.fill(x - half, y - radius + row, 2 * half + 1, 1, colour);
        }
    }
}

/// `1 kill`, `2 kills`.
pub fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// 31 characters of wide glyphs, the longest that the game shows.
    const WIDE: &str = "^1W^2W^3WWWWWWWWWWWWWWWWWWWWWWWWWWWWW";

    fn cards() -> Vec<(&'static str, Card)> {
        let side = |score, has_won, name: &str| Side { score, has_won, best: Some((name.to_owned(), 31)) };
        let rank = |place: &str, name: &str| Rank {
            place: place.to_owned(),
            name: name.to_owned(),
            figure: "17 kills".to_owned(),
        };
        let figure = |value: &str, label| Figure { value: value.to_owned(), label };
        let card = |title: &str, body| Card {
            kind: "After-action report",
            is_live: false,
            title: title.to_owned(),
            body,
            footer: ["Team deathmatch", "Stalingrad", "2026-11-22 20:04", "12:34 played"]
                .map(str::to_owned)
                .into(),
        };
        let ordinary =
            card("dm/mohdm1", Body::Sides([side(23, true, "^4Blue^1Baron"), side(9, false, "Zoë")]));
        vec![
            ("match", ordinary.clone()),
            ("match-live", Card { is_live: true, kind: "Match in progress", ..ordinary }),
            (
                "match-wide",
                card(WIDE, Body::Sides([side(-1234, false, WIDE), side(i32::MAX, true, "漢字かな")])),
            ),
            (
                "free-for-all",
                card("dm/mohdm6", Body::Ranks(vec![rank("1", "Жуков"), rank("2", WIDE), rank("3", "Ōtō")])),
            ),
            (
                "player",
                card(
                    "^4Blue^1Baron",
                    Body::Figures(vec![
                        figure("1,234", "kills"),
                        figure("1.85", "kills per death"),
                        figure("23 %", "by headshot"),
                        figure("18–27", "rating"),
                    ]),
                ),
            ),
            (
                "player-wide",
                card(
                    WIDE,
                    Body::Figures(vec![
                        figure("1,234,567,890", "kills"),
                        figure("1,234.85", "kills per death"),
                        figure("100.0 %", "kills by headshot"),
                        figure("100.0 %", "accuracy"),
                    ]),
                ),
            ),
            ("empty", Card { footer: Vec::new(), ..card("", Body::Figures(Vec::new())) }),
        ]
    }

    /// Pixels in which two pictures of one size differ.
    fn changed(one: &image::RgbImage, other: &image::RgbImage) -> Vec<(u32, u32)> {
        let pairs = one.enumerate_pixels().zip(other.pixels());
        pairs.filter(|((_, _, one), other)| one != other).map(|((x, y, _), _)| (x, y)).collect()
    }

    #[test]
    fn whatever_stands_on_a_card_stays_inside_its_margins() {
        let ground = image::load_from_memory(GROUND).unwrap().into_rgb8();
        assert_eq!(ground.dimensions(), (WIDTH, HEIGHT));
        for (name, card) in cards() {
            let png = card.png().unwrap();
            let drawn = image::load_from_memory(&png).unwrap().into_rgb8();
            let changed = changed(&ground, &drawn);
            assert!(!changed.is_empty());
            let margins = LEFT as u32 - 6..RIGHT as u32 + 6;
            let outside: Vec<_> = changed
                .iter()
                .filter(|(x, y)| !margins.contains(x) || !(40..606).contains(y))
                .take(4)
                .collect();
            assert!(outside.is_empty(), "{name}: {outside:?}");
            if let Ok(folder) = std::env::var("CARDS_FOLDER") {
                std::fs::write(format!("{folder}/{name}.png"), &png).unwrap();
            }
            println!("{name}: {} kB", png.len() / 1024);
        }
    }

    #[test]
    fn cards_that_look_otherwise_have_another_identity() {
        let identities: std::collections::BTreeSet<_> =
            cards().into_iter().map(|(_, card)| card.identity()).collect();
        assert_eq!(identities.len(), cards().len());
    }
}
