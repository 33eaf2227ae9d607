//! One round of Swiss: the pairs that cost least, all constraints at once.

use super::entrant::EntrantId;
use super::standings::Points;

/// Somebody to be paired, in the order of the table.
#[derive(Clone, Debug)]
pub struct Contender {
    pub id: EntrantId,
    pub points: Points,
    pub met: Vec<EntrantId>,
    pub had_bye: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// From the top of the table, the better one first.
    pub pairs: Vec<(EntrantId, EntrantId)>,
    pub bye: Option<EntrantId>,
}

/// No round keeps all rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoLegalRound;

/// What the rules weigh: each more than all that is less important can cost in a round. Places weigh 1.
struct Weights {
    /// What points are multiples of.
    unit: i64,
    score: i128,
    bye_score: i128,
    again: i128,
    /// Above all that a legal round can cost.
    forbidden: i128,
}

impl Weights {
    fn of(contenders: &[Contender]) -> Weights {
        let least = contenders.iter().map(|contender| contender.points.0).min().unwrap_or(0);
        let above = contenders.iter().map(|contender| contender.points.0 - least);
        let unit = above.clone().fold(0, greatest_common_divisor).max(1);
        let most = i128::from(above.max().unwrap_or(0) / unit);
        let pairs = contenders.len().div_ceil(2) as i128;
        let score = pairs * contenders.len() as i128 + 1;
        let bye_score = score * (pairs * most + 1);
        let again = bye_score * (most + 1);
        Weights { unit, score, bye_score, again, forbidden: again * (pairs + 1) }
    }
}

fn greatest_common_divisor(one: i64, other: i64) -> i64 {
    if other == 0 { one } else { greatest_common_divisor(other, one % other) }
}

/// How many of `entrants` win so many matches before they lose so many, if every match is as likely won as lost: the
/// nearest number, and 2 at least.
pub fn through(entrants: usize, wins: u32, losses: u32) -> usize {
    // Those who win `wins` or more of the matches after which nobody is undecided; with 32 and 32 there are 63.
    let matches = u128::from((wins + losses).saturating_sub(1).min(63));
    let mut ways = 1_u128;
    let mut sum = 0;
    for won in 0..=matches {
        if won >= u128::from(wins) {
            sum += ways;
        }
        ways = ways * (matches - won) / (won + 1);
    }
    let all = 1_u128 << matches;
    let nearest = (entrants as u128 * sum + all / 2) / all;
    usize::try_from(nearest).unwrap_or(entrants).clamp(2, entrants.max(2))
}

/// Pairs `contenders`, who are sorted by points and then as their seeds: nobody meets the same again, nobody has a
/// second bye, the bye goes to as few points as possible, the sum of differences of points is as small as possible,
/// and among equals the top half meets the bottom half. If rematches are allowed, as few as possible.
///
/// It is a perfect matching of least weight in the complete graph, the bye being one more vertex if the number is odd.
pub fn pair(contenders: &[Contender], allow_rematches: bool) -> Result<Round, NoLegalRound> {
    let odd = contenders.len() % 2;
    let vertices = contenders.len() + odd;
    let bye = contenders.len();
    let weights = Weights::of(contenders);
    let broken = if allow_rematches { weights.again } else { weights.forbidden };
    let least = contenders.iter().map(|contender| contender.points.0).min().unwrap_or(0);
    let halves = halves(contenders);
    let mut cost = vec![0i128; vertices * vertices];
    for (one, contender) in contenders.iter().enumerate() {
        for (two, other) in contenders.iter().enumerate().skip(one + 1) {
            let again = if contender.met.contains(&other.id) { broken } else { 0 };
            let difference = i128::from((contender.points.0 - other.points.0).abs() / weights.unit);
            let apart = two - one;
            let place = if difference == 0 { apart.abs_diff(halves[one]) } else { apart };
            cost[one * vertices + two] = again + weights.score * difference + place as i128;
        }
        if odd == 1 {
            let again = if contender.had_bye { broken } else { 0 };
            let above = i128::from((contender.points.0 - least) / weights.unit);
            let place = contenders.len() - 1 - one;
            cost[one * vertices + bye] = again + weights.bye_score * above + place as i128;
        }
    }
    let mates = cheapest(&cost, vertices, weights.forbidden);
    let mut round = Round { pairs: Vec::with_capacity(contenders.len() / 2), bye: None };
    for (one, &two) in mates.iter().enumerate().filter(|&(one, &two)| one < two) {
        if cost[one * vertices + two] >= weights.forbidden {
            return Err(NoLegalRound);
        }
        if two == bye {
            round.bye = Some(contenders[one].id);
        } else {
            round.pairs.push((contenders[one].id, contenders[two].id));
        }
    }
    Ok(round)
}

/// A perfect matching that costs least. Costs that are small enough are narrowed: they take half of the memory.
fn cheapest(cost: &[i128], vertices: usize, greatest: i128) -> Vec<usize> {
    // No cost is twice the greatest, and the solver doubles sums of two of them.
    if greatest < i128::from(i64::MAX >> 8) {
        let narrow: Vec<i64> = cost.iter().map(|cost| *cost as i64).collect();
        return integer_blossom::min_weight_perfect_matching(&narrow, vertices);
    }
    integer_blossom::min_weight_perfect_matching(cost, vertices)
}

/// How far below somebody is whom he should meet among those of the same points: half of their number.
fn halves(contenders: &[Contender]) -> Vec<usize> {
    contenders
        .chunk_by(|one, two| one.points == two.points)
        .flat_map(|equals| std::iter::repeat_n(equals.len() / 2, equals.len()))
        .collect()
}
