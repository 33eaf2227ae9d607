//! Tables: what is counted, and what decides between equals.

use mohaa_domain::tournament::{
    EntrantId, Forfeit, Format, Options, Outcome, PointsFor, Row, Settings, Side, TieBreak, Tournament,
};

use super::play::{
    Checked, begun, bout, by_hash, forfeit, played, reported, score, settings, sides, with_options,
};
use mohaa_domain::tournament::{Command, Holder, Status};

fn chain(tie_breaks: &[TieBreak]) -> Options {
    Options { tie_breaks: Some(tie_breaks.to_vec()), ..Options::default() }
}

fn league(options: Options, entrants: u32) -> Tournament {
    begun(with_options(Format::RoundRobin, options), entrants)
}

/// Plays one against another with a score from the first one's point of view.
fn meets(league: &Tournament, one: u32, two: u32, scores: [u32; 2]) -> Tournament {
    let bout = league
        .bouts
        .values()
        .filter(|bout| bout.outcome.is_none())
        .find(|bout| {
            let of = sides(bout);
            of == [Some(one), Some(two)] || of == [Some(two), Some(one)]
        })
        .unwrap();
    let [first, second] = scores;
    let verdict = if sides(bout)[0] == Some(one) { score(first, second) } else { score(second, first) };
    reported(league, &bout.key.to_string(), verdict)
}

fn row(table: &[Row], id: u32) -> &Row {
    table.iter().find(|row| row.entrant == EntrantId(id)).unwrap()
}

fn ranks(table: &[Row]) -> Vec<(usize, u32)> {
    table.iter().map(|row| (row.rank, row.entrant.0)).collect()
}

#[test]
fn a_win_is_three_points_and_a_draw_one() {
    let mut league = league(Options::default(), 3);
    for (one, two, scores) in [(1, 2, [5, 3]), (1, 3, [2, 2]), (2, 3, [0, 4])] {
        league = meets(&league, one, two, scores);
    }
    let table = league.table(1);
    let one = row(&table, 1);
    assert_eq!((one.points.value(), one.score_for(), one.score_against()), (4.0, 7, 5));
    let counts = [Outcome::Win, Outcome::Draw, Outcome::Loss].map(|result| one.count(result));
    assert_eq!((counts, one.played.len(), one.forfeits()), ([1, 1, 0], 2, 0));
    assert_eq!(row(&table, 2).points.value(), 0.0);
    assert_eq!(ranks(&table), [(1, 3), (2, 1), (3, 2)], "3 and 1 drew; 3 has the better difference");
    assert_eq!(one.values[&TieBreak::ScoreDiff], 2.0);
    assert_eq!(one.values[&TieBreak::Wins], 1.0);
    assert_eq!(one.values[&TieBreak::ScoreFor], 7.0);
}

#[test]
fn other_points_can_be_set() {
    let points = Some(PointsFor { win: 2.0, draw: 0.5, loss: -1.0 });
    let mut league = league(Options { points, ..Options::default() }, 3);
    for (one, two, scores) in [(1, 2, [5, 3]), (1, 3, [2, 2]), (2, 3, [0, 4])] {
        league = meets(&league, one, two, scores);
    }
    let table = league.table(1);
    assert_eq!([1, 2, 3].map(|id| row(&table, id).points.value()), [2.5, -2.0, 2.5]);
    let swiss = begun(with_options(Format::Swiss, Options { points, ..Options::default() }), 3);
    let free = swiss.table(0).into_iter().find(|row| row.count(Outcome::Bye) == 1).unwrap();
    assert_eq!((free.points.value(), free.wins()), (2.0, 1), "a bye is a win");
}

#[test]
fn a_forfeit_is_lost_by_who_did_not_play() {
    let league = league(Options::default(), 4);
    let one = reported(&league, "G1.R1.1", forfeit(Forfeit::One));
    let both = reported(&one, "G1.R1.2", forfeit(Forfeit::Both));
    let table = both.table(1);
    let of = |text: &str, side: Side| {
        let id = sides(bout(&both, text))[side.index()].unwrap();
        let row = row(&table, id);
        (row.points.value(), row.forfeits(), row.count(Outcome::Loss))
    };
    assert_eq!([of("G1.R1.1", Side::One), of("G1.R1.1", Side::Two)], [(0.0, 1, 1), (3.0, 0, 0)]);
    assert_eq!([of("G1.R1.2", Side::One), of("G1.R1.2", Side::Two)], [(0.0, 1, 1); 2]);
}

#[test]
fn what_is_not_played_yet_is_not_counted() {
    let table = league(Options::default(), 4).table(1);
    assert!(table.iter().all(|row| row.played.is_empty() && row.rank == 1));
    assert_eq!(table.iter().map(|row| row.entrant.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
}

#[test]
fn head_to_head_among_three_counts_only_what_they_played_against_each_other() {
    // 1, 2 and 3 have six points each; 4 none. 1 beat 2, 2 beat 3, 3 beat 1; 4 decides nothing of it.
    let tie = chain(&[TieBreak::Points, TieBreak::HeadToHead, TieBreak::ScoreDiff]);
    let mut league = league(tie, 4);
    for (one, two, scores) in
        [(1, 2, [1, 0]), (2, 3, [1, 0]), (3, 1, [1, 0]), (1, 4, [3, 0]), (2, 4, [9, 0]), (3, 4, [5, 0])]
    {
        league = meets(&league, one, two, scores);
    }
    let table = league.table(1);
    assert_eq!(ranks(&table), [(1, 2), (2, 3), (3, 1), (4, 4)]);
    assert_eq!([1, 2, 3].map(|id| row(&table, id).values[&TieBreak::HeadToHead]), [3.0; 3]);
}

#[test]
fn head_to_head_parts_those_whom_points_do_not() {
    let tie = chain(&[TieBreak::HeadToHead, TieBreak::ScoreDiff]);
    let mut league = league(tie, 4);
    for (one, two, scores) in
        [(4, 1, [1, 0]), (1, 2, [9, 0]), (1, 3, [9, 0]), (4, 2, [1, 0]), (3, 4, [1, 0]), (2, 3, [1, 0])]
    {
        league = meets(&league, one, two, scores);
    }
    // 1 and 4 have six points, 2 and 3 three.
    assert_eq!(ranks(&league.table(1)), [(1, 4), (2, 1), (3, 2), (4, 3)]);
}

#[test]
fn who_is_equal_in_all_shares_a_rank_and_a_final_place() {
    let mut league = league(Options::default(), 4);
    for (one, two) in [(1, 2), (1, 3), (1, 4)] {
        league = meets(&league, one, two, [1, 0]);
    }
    for (one, two) in [(2, 3), (3, 4), (4, 2)] {
        league = meets(&league, one, two, [1, 1]);
    }
    assert_eq!(ranks(&league.table(1)), [(1, 1), (2, 2), (2, 3), (2, 4)]);
    assert_eq!(super::play::places(&league), [vec![1], vec![2, 3, 4]]);
}

#[test]
fn lots_leave_nobody_equal() {
    let league = league(chain(&[TieBreak::Points, TieBreak::DrawOfLots]), 40);
    let table = league.table(1);
    assert_eq!(table.iter().map(|row| row.rank).collect::<Vec<_>>(), (1..=40).collect::<Vec<_>>());
    let mut lots: Vec<u32> = table.iter().map(|row| row.values[&TieBreak::DrawOfLots] as u32).collect();
    assert!(lots.is_sorted_by(|one, two| one > two), "the greatest lot is the best");
    lots.reverse();
    assert_eq!(lots, (1..=40).collect::<Vec<_>>());
    let placed: Vec<EntrantId> = table.iter().map(|row| row.entrant).collect();
    assert_eq!(league.placed(1), placed, "who goes on is drawn by the same lots");
}

#[test]
fn ratings_decide_where_the_organizer_says_so() {
    let mut checked = Checked::new(with_options(Format::RoundRobin, chain(&[TieBreak::Rating])));
    checked.does(super::play::to(Status::RegistrationOpen));
    for (name, rating) in [("a", None), ("b", Some(1.5)), ("c", Some(7.25)), ("d", Some(0.1 + 0.2))] {
        let (holder, name) = (Holder::Nobody, name.to_owned());
        checked.does(Command::Register { holder, name, player_id: None, rating });
    }
    checked.does(super::play::to(Status::RegistrationClosed));
    checked.does(super::play::to(Status::InProgress));
    assert_eq!(ranks(&checked.now.table(1)), [(1, 3), (2, 2), (3, 4), (4, 1)]);
    checked.assert_replays();
}

#[test]
fn every_value_can_be_counted_again_from_the_matches_behind_it() {
    for entrants in [5, 8, 11, 16] {
        let settings = Settings { best_of: 3, ..settings(Format::Swiss) };
        let over = played(&begun(settings, entrants), by_hash);
        let table = over.table(0);
        for one in &table {
            let rounds = over.swiss_round();
            assert_eq!(one.played.len(), usize::from(rounds));
            let opponents: Vec<f64> = one
                .played
                .iter()
                .filter_map(|played| played.opponent)
                .map(|id| row(&table, id.0).points.value())
                .collect();
            assert_eq!(one.values[&TieBreak::Buchholz], opponents.iter().sum::<f64>());
            let least = opponents.iter().copied().fold(f64::MAX, f64::min);
            let cut = one.values[&TieBreak::Buchholz] - one.values[&TieBreak::BuchholzCut1];
            assert_eq!(cut, least);
            let mut sum = 0.0;
            let mut progressive = 0.0;
            for played in &one.played {
                sum += played.points.value();
                progressive += sum;
            }
            assert_eq!((one.points.value(), one.values[&TieBreak::Progressive]), (sum, progressive));
            let beaten = one.played.iter().filter(|played| played.result == Outcome::Win);
            let sonneborn: f64 =
                beaten.filter_map(|played| played.opponent).map(|id| row(&table, id.0).points.value()).sum();
            assert_eq!(one.values[&TieBreak::SonnebornBerger], sonneborn);
        }
        assert!(table.is_sorted_by(|one, two| one.points >= two.points));
    }
}
