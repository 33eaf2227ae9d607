//! Who of a match is rated, and what came out.

use mohaa_domain::rating::{Contest, Outcome, Participant, PlayedMatch, Rating};
use mohaa_domain::vocabulary::{GameType, Team};

const GUEST: &str = "g_abcdefghijklmnop";

fn on(team: Team, player_id: &str) -> Participant {
    Participant {
        player_id: player_id.into(),
        team,
        playtime_seconds: 600,
        kills: 1,
        ..Participant::default()
    }
}

fn played(game_type: GameType, winning_team: Team, participants: Vec<Participant>) -> PlayedMatch {
    PlayedMatch { game_type, winning_team, participants, ..PlayedMatch::default() }
}

fn of_sides(winning_team: Team, participants: Vec<Participant>) -> Option<Contest> {
    played(GameType::TeamDeathmatch, winning_team, participants).contest()
}

fn sides(allies: &[&str], axis: &[&str], of_allies: Outcome) -> Option<Contest> {
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).into()).collect();
    Some(Contest::Sides { allies: ids(allies), axis: ids(axis), of_allies })
}

fn both() -> Vec<Participant> {
    vec![on(Team::Allies, "1"), on(Team::Axis, "2")]
}

#[test]
fn the_winning_side_says_who_won() {
    assert_eq!(of_sides(Team::Allies, both()), sides(&["1"], &["2"], Outcome::Won));
    assert_eq!(of_sides(Team::Axis, both()), sides(&["1"], &["2"], Outcome::Lost));
    assert_eq!(of_sides(Team::None, both()), sides(&["1"], &["2"], Outcome::Draw));
}

#[test]
fn equal_scores_are_a_draw_and_a_match_that_nobody_decided_is_none() {
    let with = |winning_team, allies_score, axis_score| {
        let decided = played(GameType::Objective, winning_team, both());
        PlayedMatch { allies_score, axis_score, ..decided }.contest()
    };
    assert_eq!(with(Team::Unknown, 3, 3), sides(&["1"], &["2"], Outcome::Draw));
    assert_eq!(with(Team::None, 3, 3), sides(&["1"], &["2"], Outcome::Draw));
    assert_eq!(with(Team::Unknown, 3, 2), None);
    assert_eq!(with(Team::None, 3, 2), None);
    assert_eq!(with(Team::Unknown, 0, 0), None, "left before its end");
}

#[test]
fn bots_guests_and_onlookers_do_not_count() {
    let mut everybody = both();
    everybody.push(Participant { bot: true, ..on(Team::Allies, "3") });
    everybody.push(on(Team::Axis, GUEST));
    everybody.push(on(Team::Spectator, "4"));
    everybody.push(on(Team::Unknown, "5"));
    everybody.push(on(Team::Axis, ""));
    assert_eq!(of_sides(Team::Allies, everybody), sides(&["1"], &["2"], Outcome::Won));
    let against_guests = vec![on(Team::Allies, "1"), on(Team::Allies, "2"), on(Team::Axis, GUEST)];
    assert_eq!(of_sides(Team::Allies, against_guests), None, "one side is empty");
    assert_eq!(of_sides(Team::Allies, vec![on(Team::Allies, "1")]), None);
    assert_eq!(played(GameType::Single, Team::Allies, both()).contest(), None);
}

#[test]
fn who_was_there_for_a_moment_does_not_count() {
    let stayed = |id: &str, team, playtime_seconds| Participant { playtime_seconds, ..on(team, id) };
    let long =
        vec![stayed("1", Team::Allies, 1_200), stayed("2", Team::Axis, 60), stayed("3", Team::Axis, 59)];
    assert_eq!(of_sides(Team::Axis, long), sides(&["1"], &["2"], Outcome::Lost));
    let short = vec![stayed("1", Team::Allies, 80), stayed("2", Team::Axis, 20), stayed("3", Team::Axis, 19)];
    assert_eq!(of_sides(Team::Axis, short), sides(&["1"], &["2"], Outcome::Lost));
    let seen_once = vec![stayed("1", Team::Allies, 0), stayed("2", Team::Axis, 0)];
    assert_eq!(of_sides(Team::Axis, seen_once), sides(&["1"], &["2"], Outcome::Lost));
}

#[test]
fn ids_of_one_person_are_one_on_the_side_where_they_stayed_longer() {
    let twice = vec![
        on(Team::Axis, "2"),
        Participant { playtime_seconds: 30, ..on(Team::Axis, "1") },
        Participant { playtime_seconds: 500, ..on(Team::Allies, "1") },
    ];
    assert_eq!(of_sides(Team::Allies, twice), sides(&["1"], &["2"], Outcome::Won));
    let with = |kills, id: &str| Participant { kills, ..on(Team::FreeForAll, id) };
    let ffa = played(GameType::FreeForAll, Team::None, vec![with(3, "1"), with(5, "2"), with(3, "1")]);
    assert_eq!(ffa.contest(), Some(Contest::FreeForAll(vec![("1".into(), 1), ("2".into(), 2)])));
}

#[test]
fn a_free_for_all_is_ordered_by_kills_and_then_by_fewer_deaths() {
    let with = |id: &str, kills, deaths| Participant { kills, deaths, ..on(Team::Allies, id) };
    let all = vec![with("d", 5, 9), with("c", 7, 3), with("a", 7, 2), with("b", 7, 3), with("e", 0, 0)];
    let places = [("a", 1), ("b", 2), ("c", 2), ("d", 4), ("e", 5)];
    let expected = Contest::FreeForAll(places.map(|(id, place)| (id.into(), place)).to_vec());
    assert_eq!(played(GameType::FreeForAll, Team::Allies, all).contest(), Some(expected));
    let unfought = vec![with("a", 0, 0), with("b", 0, 0)];
    assert_eq!(played(GameType::FreeForAll, Team::Unknown, unfought).contest(), None);
    let onlooker = Participant { kills: 0, ..on(Team::Spectator, "2") };
    let alone = vec![on(Team::FreeForAll, "1"), onlooker];
    assert_eq!(played(GameType::FreeForAll, Team::Unknown, alone).contest(), None);
}

#[test]
fn an_unnamed_game_type_is_told_by_the_teams() {
    let ffa = vec![on(Team::FreeForAll, "1"), Participant { kills: 2, ..on(Team::FreeForAll, "2") }];
    let expected = Contest::FreeForAll(vec![("1".into(), 2), ("2".into(), 1)]);
    assert_eq!(played(GameType::Unknown, Team::Unknown, ffa).contest(), Some(expected));
    let of_sides = played(GameType::Unknown, Team::Axis, both()).contest();
    assert_eq!(of_sides, sides(&["1"], &["2"], Outcome::Lost));
}

#[test]
fn a_contest_tells_everybody_what_it_changed_in_the_order_of_ids() {
    let strong = Rating { value: 30.0, deviation: 5.0 };
    let contest = of_sides(Team::Axis, vec![on(Team::Allies, "b"), on(Team::Axis, "a")]).unwrap();
    let changes = contest.rate(|id| if id == "b" { strong } else { Rating::NEW });
    let ids: Vec<&str> = changes.iter().map(|change| change.player_id.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    assert_eq!((changes[0].before, changes[1].before), (Rating::NEW, strong));
    assert!(changes[0].after.value > 25.0 && changes[1].after.value < 30.0, "{changes:?}");
}
