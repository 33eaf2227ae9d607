//! The sample of vectors.

use std::collections::BTreeMap;

use mohaa_domain::tournament::{
    Bout, By, Command, Contender, EntrantId, Format, GrandFinal, Key, Occupant, Options, Ordering, Points,
    Report, Round, Section, Side, Source, TieBreak, Tournament, Verdict, fallers, pair,
};
use serde_json::{Value, json};

use super::play::{
    assert_sound, begun, better, by_hash, places, played_and, really_played, score, settings, sides, then,
    with_options, worse,
};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../data/brackets.json")).unwrap()
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().unwrap().iter()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn numbers(value: &Value) -> Vec<u32> {
    list(value).iter().map(|number| u32::try_from(number.as_u64().unwrap()).unwrap()).collect()
}

fn ordering(name: &Value) -> Ordering {
    serde_json::from_value(name.clone()).unwrap()
}

#[test]
fn seeds_are_put_in_order_as_the_vectors_say() {
    for (name, by_size) in entries(&vectors()["seed_orderings"]) {
        for (size, order) in entries(by_size) {
            let seeds: Vec<u32> = (1..=size.parse().unwrap()).collect();
            assert_eq!(ordering(&json!(name)).apply(&seeds), numbers(order), "{name} of {size}");
        }
    }
}

#[test]
fn fallers_are_put_in_order_as_the_vectors_say() {
    for (size, orders) in entries(&vectors()["default_lower_bracket_orderings"]) {
        for (fall, order) in list(orders).iter().enumerate() {
            assert_eq!(fallers(size.parse().unwrap(), fall), ordering(order), "fall {fall} of {size}");
        }
    }
}

/// Where winners and losers go, in the notation of the vectors.
fn routing(tournament: &Tournament) -> Value {
    let routes = tournament.routes();
    let slot = |to: Option<(Key, Side)>| to.map(|(key, side)| format!("{key}/{}", u8::from(side)));
    let of = |key: &Key| routes.get(key).copied().unwrap_or_default();
    let all = tournament.bouts.keys();
    Value::Object(
        all.map(|key| (key.to_string(), json!([slot(of(key).winner), slot(of(key).loser)]))).collect(),
    )
}

#[test]
fn winners_and_losers_go_where_the_vectors_say() {
    let vectors = vectors();
    for (number, routes) in entries(&vectors["single_elimination"]["routing"]) {
        let tournament = begun(settings(Format::SingleElimination), number.parse().unwrap());
        assert_eq!(routing(&tournament), *routes, "single elimination of {number}");
    }
    for (number, routes) in entries(&vectors["double_elimination"]["routing"]["double"]) {
        let tournament = begun(settings(Format::DoubleElimination), number.parse().unwrap());
        assert_eq!(routing(&tournament), *routes, "double elimination of {number}");
    }
}

fn first_round(tournament: &Tournament, section: Section) -> Value {
    let first = tournament.section(section).filter(|bout| bout.key.round == 1);
    json!(first.map(sides).collect::<Vec<_>>())
}

/// Sides after the first round that are known as it is made.
fn prefilled(tournament: &Tournament) -> Value {
    let later = tournament
        .bouts
        .values()
        .filter(|bout| bout.key.round > 1 || !matches!(bout.key.section, Section::Single | Section::Upper));
    let known = later.filter(|bout| sides(bout) != [None, None]);
    Value::Object(known.map(|bout| (bout.key.to_string(), json!(sides(bout)))).collect())
}

fn never_played(tournament: &Tournament) -> Vec<String> {
    tournament.bouts.values().filter(|bout| bout.has_bye()).map(|bout| bout.key.to_string()).collect()
}

#[test]
fn single_elimination_begins_as_the_vectors_say() {
    for (number, expected) in entries(&vectors()["single_elimination"]["by_n"]) {
        let tournament = begun(settings(Format::SingleElimination), number.parse().unwrap());
        let total = tournament.bouts.len();
        let rounds = tournament.bouts.keys().map(|key| key.round).max();
        let first: Vec<&Bout> = tournament.bouts.values().filter(|bout| bout.key.round == 1).collect();
        let mut byes: Vec<u32> =
            first.iter().filter(|bout| bout.has_bye()).map(|bout| sides(bout)[0].unwrap()).collect();
        byes.sort_unstable();
        let found = json!({
            "size": first.len() * 2, "rounds": rounds, "matches_total": total,
            "matches_playable": total - never_played(&tournament).len(), "byes": byes,
            "r1": first_round(&tournament, Section::Single), "prefilled": prefilled(&tournament),
        });
        assert_eq!(found, *expected, "of {number}");
    }
}

#[test]
fn double_elimination_begins_as_the_vectors_say() {
    for (number, expected) in entries(&vectors()["double_elimination"]["by_n"]) {
        let tournament = begun(settings(Format::DoubleElimination), number.parse().unwrap());
        let never = never_played(&tournament);
        let found = json!({
            "size": tournament.section(Section::Upper).filter(|bout| bout.key.round == 1).count() * 2,
            "playable_without_reset": tournament.bouts.len() - never.len() - 1,
            "w1": first_round(&tournament, Section::Upper),
            "prefilled": prefilled(&tournament), "never_played": never,
        });
        assert_eq!(found, *expected, "of {number}");
    }
}

#[test]
fn round_robin_is_paired_as_the_vectors_say() {
    for (number, rounds) in entries(&vectors()["round_robin"]["simple"]) {
        let tournament = begun(settings(Format::RoundRobin), number.parse().unwrap());
        let mut found: BTreeMap<u16, Vec<[Option<u32>; 2]>> = BTreeMap::new();
        for bout in tournament.bouts.values() {
            found.entry(bout.key.round).or_default().push(sides(bout));
        }
        assert_eq!(json!(found.into_values().collect::<Vec<_>>()), *rounds, "of {number}");
    }
}

#[test]
fn whole_tournaments_go_as_the_vectors_say() {
    let vectors = vectors();
    for sim in list(&vectors["sims"]) {
        let grand_final = |option| Options { grand_final: Some(option), ..Options::default() };
        let (format, options) = match (sim["f"].as_str().unwrap(), sim["o"].as_str().unwrap()) {
            ("SE", "plain") => (Format::SingleElimination, Options::default()),
            ("SE", "third") => {
                (Format::SingleElimination, Options { third_place: true, ..Options::default() })
            }
            ("DE", "double") => (Format::DoubleElimination, grand_final(GrandFinal::Double)),
            ("DE", "simple") => (Format::DoubleElimination, grand_final(GrandFinal::Simple)),
            ("DE", "none") => (Format::DoubleElimination, grand_final(GrandFinal::None)),
            other => panic!("{other:?}"),
        };
        let policy = match sim["p"].as_str().unwrap() {
            "chalk" => better,
            "upset" => worse,
            _ => by_hash,
        };
        let begun = begun(with_options(format, options), u32::try_from(sim["n"].as_u64().unwrap()).unwrap());
        let over = played_and(&begun, policy, assert_sound);
        let results: Vec<String> = over
            .existing()
            .filter(|bout| bout.outcome.is_some())
            .map(|bout| {
                let [one, two] = sides(bout).map(Option::unwrap);
                let winner = bout.winner().entrant().unwrap().0;
                format!("{}:{one}-{two}>{winner}", bout.key)
            })
            .collect();
        assert_eq!(results.join(" "), sim["r"].as_str().unwrap(), "{sim}");
        assert_eq!(results.len(), really_played(&over));
        assert_eq!(json!(places(&over)), sim["tiers"], "{sim}");
    }
}

fn contenders(state: &Value) -> Vec<Contender> {
    let mut contenders: Vec<Contender> = list(&state["players"])
        .iter()
        .map(|player| Contender {
            id: EntrantId(u32::try_from(player[0].as_u64().unwrap()).unwrap()),
            points: Points::new(player[1].as_f64().unwrap()),
            met: numbers(&player[2]).into_iter().map(EntrantId).collect(),
            had_bye: player[3].as_u64().unwrap() > 0,
        })
        .collect();
    contenders.sort_by_key(|contender| (std::cmp::Reverse(contender.points), contender.id));
    contenders
}

/// The sum of differences of points of a round that breaks no rule.
pub fn cost_of(contenders: &[Contender], round: &Round) -> f64 {
    let of = |id| contenders.iter().find(|contender| contender.id == id).unwrap();
    let mut seen: Vec<EntrantId> = round.bye.into_iter().collect();
    assert_eq!(round.bye.is_some(), contenders.len() % 2 == 1);
    assert!(round.bye.is_none_or(|bye| !of(bye).had_bye));
    let mut cost = 0.0;
    for &(one, two) in &round.pairs {
        seen.extend([one, two]);
        assert!(!of(one).met.contains(&two), "{one:?} meets {two:?} again");
        cost += (of(one).points.value() - of(two).points.value()).abs();
    }
    seen.sort_unstable();
    let mut all: Vec<EntrantId> = contenders.iter().map(|contender| contender.id).collect();
    all.sort_unstable();
    assert_eq!(seen, all);
    cost
}

#[test]
fn swiss_rounds_cost_as_little_as_the_vectors_say() {
    let vectors = vectors();
    for state in list(&vectors["swiss_states"]).iter().chain(list(&vectors["swiss_adversarial"])) {
        let contenders = contenders(state);
        let round = pair(&contenders, false);
        let least = state["oracle"]["min_sum_abs_diff"].as_f64();
        assert_eq!(round.is_ok(), least.is_some(), "{state}");
        let (Ok(round), Some(least)) = (round, least) else { continue };
        assert!((cost_of(&contenders, &round) - least).abs() < 1e-9, "{state}: {round:?}");
        let allowed = numbers(&state["oracle"]["bye_allowed"]);
        assert!(round.bye.is_none_or(|bye| allowed.contains(&bye.0)), "{state}: {round:?}");
        if state["round"] == 1 {
            let pairs: Vec<[u32; 2]> = round.pairs.iter().map(|(one, two)| [one.0, two.0]).collect();
            assert_eq!(json!(pairs), state["dutch_bbp6"]["pairs"], "the top half meets the bottom half");
        }
    }
}

#[test]
fn swiss_tables_are_counted_as_the_vectors_say() {
    let chain = [
        TieBreak::Points,
        TieBreak::Buchholz,
        TieBreak::BuchholzCut1,
        TieBreak::MedianBuchholz,
        TieBreak::SonnebornBerger,
        TieBreak::Progressive,
    ];
    for played in list(&vectors()["swiss_tournaments"]) {
        let number = u32::try_from(played["n"].as_u64().unwrap()).unwrap();
        let mut tournament = begun(settings(Format::Swiss), number);
        tournament.bouts.clear();
        tournament.draw.swiss_rounds = u16::try_from(played["rounds_count"].as_u64().unwrap()).unwrap();
        for (round, pairs) in list(&played["rounds"]).iter().enumerate() {
            let mut add = |number: usize, sources: [Source; 2], verdict: Option<Verdict>| {
                let key = Key::new(Section::Swiss, round + 1, number);
                let mut bout = Bout::new(key, sources, 1);
                bout.occupants = sources.map(|source| match source {
                    Source::Entrant(id) => Occupant::Entrant(id),
                    _ => Occupant::Bye,
                });
                bout.outcome = verdict.map(|verdict| Report { by: By::Organizer(1), at: 0, verdict });
                tournament.bouts.insert(key, bout);
            };
            let entrant = |id: u32| Source::Entrant(EntrantId(id));
            let pairs_of_round = list(&pairs["pairs"]);
            for (at, pair) in pairs_of_round.iter().enumerate() {
                let pair = numbers(pair);
                let winner = [Side::One, Side::Two].into_iter().find(|side| pair[side.index()] == pair[2]);
                let verdict = Verdict { winner, ..score(0, 0) };
                add(at + 1, [entrant(pair[0]), entrant(pair[1])], Some(verdict));
            }
            let bye = u32::try_from(pairs["bye"].as_u64().unwrap()).unwrap();
            if bye > 0 {
                add(pairs_of_round.len() + 1, [entrant(bye), Source::Bye], None);
            }
        }
        let tournament = then(&tournament, &Command::Clock { random: 0 });
        assert_sound(&tournament);
        for row in tournament.table(0) {
            let values: Vec<f64> = chain.iter().map(|tie_break| row.values[tie_break]).collect();
            let expected: Vec<f64> = list(&played["tiebreaks_plain"][row.entrant.0.to_string()])
                .iter()
                .map(|value| value.as_f64().unwrap())
                .collect();
            assert_eq!(values, expected, "{:?} of {number}", row.entrant);
        }
    }
}
