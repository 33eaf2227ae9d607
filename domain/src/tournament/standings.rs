//! Tables of groups and Swiss, and what decides between equals.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bout::{Bout, Forfeit, Side};
use super::entrant::EntrantId;
use super::key::Key;
use super::settings::PointsFor;

/// Points in thousandths, so that sums of halves and thirds are exact and equal points are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Points(pub i64);

impl Points {
    /// From −1,000 to 1,000, to the nearest thousandth.
    pub fn new(points: f64) -> Points {
        // The bound keeps the conversion exact.
        Points((points.clamp(-1000.0, 1000.0) * 1000.0).round() as i64)
    }

    pub fn value(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl std::iter::Sum for Points {
    fn sum<I: Iterator<Item = Points>>(points: I) -> Points {
        Points(points.map(|points| points.0).sum())
    }
}

impl std::ops::AddAssign for Points {
    fn add_assign(&mut self, other: Points) {
        self.0 += other.0;
    }
}

impl std::ops::Mul<i64> for Points {
    type Output = Points;

    fn mul(self, times: i64) -> Points {
        Points(self.0 * times)
    }
}

/// What decides between equals. More is better in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TieBreak {
    Points,
    /// Points from matches among those who are equal so far.
    HeadToHead,
    /// The sum of the opponents' points. A bye is no opponent; an opponent's points count his byes.
    Buchholz,
    /// Without the least of them.
    BuchholzCut1,
    /// Without the least and the greatest.
    MedianBuchholz,
    /// The points of beaten opponents, and half of those of opponents met in a draw.
    SonnebornBerger,
    /// The sum of the points after each round.
    Progressive,
    Wins,
    ScoreDiff,
    ScoreFor,
    /// As it was when the place was taken.
    Rating,
    /// A number from 1 drawn for each of the table from the tournament's random number; no two have the same.
    DrawOfLots,
}

impl TieBreak {
    pub const ROUND_ROBIN: [TieBreak; 5] =
        [TieBreak::Points, TieBreak::HeadToHead, TieBreak::ScoreDiff, TieBreak::ScoreFor, TieBreak::Wins];
    pub const SWISS: [TieBreak; 5] = [
        TieBreak::Points,
        TieBreak::BuchholzCut1,
        TieBreak::Buchholz,
        TieBreak::SonnebornBerger,
        TieBreak::Progressive,
    ];
    pub const ALL: [TieBreak; 12] = [
        TieBreak::Points,
        TieBreak::HeadToHead,
        TieBreak::Buchholz,
        TieBreak::BuchholzCut1,
        TieBreak::MedianBuchholz,
        TieBreak::SonnebornBerger,
        TieBreak::Progressive,
        TieBreak::Wins,
        TieBreak::ScoreDiff,
        TieBreak::ScoreFor,
        TieBreak::Rating,
        TieBreak::DrawOfLots,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Result {
    Win,
    Draw,
    Loss,
    /// Counts as a win.
    Bye,
}

/// One line of what a table's values come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    pub key: Key,
    /// Null: a bye.
    pub opponent: Option<EntrantId>,
    pub result: Result,
    pub forfeited: bool,
    pub score_for: u32,
    pub score_against: u32,
    pub points: Points,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// From 1; equals share one.
    pub rank: usize,
    pub entrant: EntrantId,
    pub points: Points,
    /// In the order of the chain, then the others; every value that was asked for or can be had.
    pub values: BTreeMap<TieBreak, f64>,
    pub played: Vec<Played>,
}

impl Row {
    pub fn count(&self, result: Result) -> usize {
        self.played.iter().filter(|played| played.result == result).count()
    }

    /// Matches won, a bye being one.
    pub fn wins(&self) -> usize {
        self.count(Result::Win) + self.count(Result::Bye)
    }

    /// Lost because this side did not play.
    pub fn forfeits(&self) -> usize {
        self.played.iter().filter(|played| played.forfeited).count()
    }

    pub fn score_for(&self) -> u64 {
        self.played.iter().map(|played| u64::from(played.score_for)).sum()
    }

    pub fn score_against(&self) -> u64 {
        self.played.iter().map(|played| u64::from(played.score_against)).sum()
    }

    fn score_diff(&self) -> i64 {
        self.score_for() as i64 - self.score_against() as i64
    }
}

/// An entrant of a table, as far as tables care.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    pub id: EntrantId,
    pub rating: Option<f64>,
}

pub struct Rules<'a> {
    pub points: PointsFor,
    pub chain: &'a [TieBreak],
    /// The tournament's random number.
    pub lots: u64,
}

/// The table of `members` (in the order of their seeds) from the matches between them that are decided.
pub fn table<'a>(members: &[Member], bouts: impl Iterator<Item = &'a Bout>, rules: &Rules) -> Vec<Row> {
    let mut rows: Vec<Row> = members
        .iter()
        .map(|member| Row {
            rank: 1,
            entrant: member.id,
            points: Points::default(),
            values: BTreeMap::new(),
            played: Vec::new(),
        })
        .collect();
    let place: BTreeMap<EntrantId, usize> =
        members.iter().enumerate().map(|(at, member)| (member.id, at)).collect();
    for bout in bouts {
        for side in Side::BOTH {
            let row = bout.occupants[side.index()].entrant().and_then(|entrant| place.get(&entrant));
            if let (Some(&row), Some(played)) = (row, played(bout, side, &rules.points)) {
                rows[row].points += played.points;
                rows[row].played.push(played);
            }
        }
    }
    let field = Field {
        points: rows.iter().map(|row| (row.entrant, row.points)).collect(),
        rounds: rows.iter().flat_map(|row| &row.played).map(|played| played.key.round).max().unwrap_or(0),
        lots: lots(rules.lots, members),
    };
    for (row, member) in rows.iter_mut().zip(members) {
        row.values = TieBreak::ALL
            .into_iter()
            .filter_map(|tie_break| Some((tie_break, field.value(tie_break, row, member)?)))
            .collect();
    }
    order(rows, rules)
}

/// What the values of one row need of all the others.
struct Field {
    points: BTreeMap<EntrantId, Points>,
    /// The last one that anybody played.
    rounds: u16,
    lots: BTreeMap<EntrantId, usize>,
}

fn played(bout: &Bout, side: Side, points: &PointsFor) -> Option<Played> {
    let opponent = bout.occupants[side.other().index()].entrant();
    let bye = |points: f64| Played {
        key: bout.key,
        opponent: None,
        result: Result::Bye,
        forfeited: false,
        score_for: 0,
        score_against: 0,
        points: Points::new(points),
    };
    let Some(outcome) = &bout.outcome else {
        return bout.has_bye().then(|| bye(points.win));
    };
    let verdict = &outcome.verdict;
    let (result, worth) = match (verdict.winner, verdict.forfeit) {
        (Some(winner), _) if winner == side => (Result::Win, points.win),
        (Some(_), _) | (None, Some(_)) => (Result::Loss, points.loss),
        (None, None) => (Result::Draw, points.draw),
    };
    let forfeited = match verdict.forfeit {
        Some(Forfeit::One) => side == Side::One,
        Some(Forfeit::Two) => side == Side::Two,
        Some(Forfeit::Both) => true,
        None => false,
    };
    Some(Played {
        key: bout.key,
        opponent,
        result,
        forfeited,
        score_for: verdict.scores[side.index()],
        score_against: verdict.scores[side.other().index()],
        points: Points::new(worth),
    })
}

impl Field {
    /// Head-to-head is known only among equals: [`split`] fills it in.
    fn value(&self, tie_break: TieBreak, row: &Row, member: &Member) -> Option<f64> {
        let points = |played: &Played| self.points.get(&played.opponent?).copied();
        let of_opponents = || {
            let mut of_opponents: Vec<Points> = row.played.iter().filter_map(points).collect();
            of_opponents.sort();
            of_opponents
        };
        let sum = |points: &[Points]| points.iter().copied().sum::<Points>().value();
        Some(match tie_break {
            TieBreak::Points => row.points.value(),
            TieBreak::HeadToHead => return None,
            TieBreak::Buchholz => sum(&of_opponents()),
            TieBreak::BuchholzCut1 => sum(of_opponents().get(1..).unwrap_or_default()),
            TieBreak::MedianBuchholz => {
                let all = of_opponents();
                sum(all.get(1..all.len().saturating_sub(1)).unwrap_or_default())
            }
            TieBreak::SonnebornBerger => {
                let halves = |result| match result {
                    Result::Win => 2,
                    Result::Draw => 1,
                    Result::Loss | Result::Bye => 0,
                };
                let doubled =
                    row.played.iter().filter_map(|played| Some(points(played)? * halves(played.result)));
                doubled.sum::<Points>().value() / 2.0
            }
            // What was won in the first of n rounds is in n sums.
            TieBreak::Progressive => {
                let sums = |played: &Played| i64::from(self.rounds - played.key.round + 1);
                row.played.iter().map(|played| played.points * sums(played)).sum::<Points>().value()
            }
            TieBreak::Wins => row.wins() as f64,
            TieBreak::ScoreDiff => row.score_diff() as f64,
            TieBreak::ScoreFor => row.score_for() as f64,
            TieBreak::Rating => member.rating?,
            TieBreak::DrawOfLots => *self.lots.get(&member.id)? as f64,
        })
    }
}

/// The lots of a table: from 1 in the order of [`lot`].
fn lots(random: u64, members: &[Member]) -> BTreeMap<EntrantId, usize> {
    let mut drawn: Vec<EntrantId> = members.iter().map(|member| member.id).collect();
    drawn.sort_by_key(|id| (lot(random, *id), *id));
    drawn.into_iter().enumerate().map(|(place, id)| (id, place + 1)).collect()
}

/// What is drawn for an entrant: SplitMix64 of the random number and the entrant's own.
pub fn lot(random: u64, entrant: EntrantId) -> u64 {
    let mut mixed = random.wrapping_add(u64::from(entrant.0).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Sorts by the chain and gives ranks. Who is equal in all of it shares a rank and stays in the order of seeds.
fn order(rows: Vec<Row>, rules: &Rules) -> Vec<Row> {
    let mut ordered = Vec::with_capacity(rows.len());
    let mut chain = rules.chain.to_vec();
    if !chain.contains(&TieBreak::Points) {
        chain.insert(0, TieBreak::Points);
    }
    split(rows, &chain, &mut ordered);
    ordered
}

fn split(mut equals: Vec<Row>, chain: &[TieBreak], ordered: &mut Vec<Row>) {
    let Some((tie_break, rest)) = chain.split_first().filter(|_| equals.len() > 1) else {
        let rank = ordered.len() + 1;
        ordered.extend(equals.into_iter().map(|row| Row { rank, ..row }));
        return;
    };
    if *tie_break == TieBreak::HeadToHead {
        let among: Vec<EntrantId> = equals.iter().map(|row| row.entrant).collect();
        for row in &mut equals {
            let met = row
                .played
                .iter()
                .filter(|played| played.opponent.is_some_and(|other| among.contains(&other)));
            let points: Points = met.map(|played| played.points).sum();
            row.values.insert(TieBreak::HeadToHead, points.value());
        }
    }
    let value = |row: &Row| row.values.get(tie_break).copied().unwrap_or(f64::MIN);
    equals.sort_by(|one, two| value(two).total_cmp(&value(one)));
    let mut of_one_value: Vec<Row> = Vec::new();
    for row in equals {
        if of_one_value.last().is_some_and(|last| value(last) != value(&row)) {
            split(std::mem::take(&mut of_one_value), rest, ordered);
        }
        of_one_value.push(row);
    }
    split(of_one_value, rest, ordered);
}
