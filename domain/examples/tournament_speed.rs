//! How long tournaments' rules take: `cargo run --release -p mohaa-domain --example tournament_speed`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[allow(dead_code)]
#[path = "../tests/tournament/play.rs"]
mod play;

use std::time::Instant;

use mohaa_domain::tournament::{Command, FirstStage, Format, Knockout, Options, Status};

use play::{ORGANIZER, better, by_hash, closed, open, played, series, settings, then, to, with_options};

fn timed<T>(what: &str, times: u32, run: impl Fn() -> T) {
    run();
    let start = Instant::now();
    for _ in 0..times {
        std::hint::black_box(run());
    }
    println!("{what}: {:.3} ms", start.elapsed().as_secs_f64() * 1000.0 / f64::from(times));
}

fn speed_of_a_start() {
    for (format, entrants) in [
        (Format::SingleElimination, 1024),
        (Format::DoubleElimination, 128),
        (Format::DoubleElimination, 1024),
        (Format::RoundRobin, 64),
        (Format::GroupStage, 1024),
        (Format::Swiss, 256),
        (Format::Swiss, 1024),
    ] {
        let closed = closed(settings(format), entrants);
        timed(&format!("{format:?} of {entrants} begins"), 3, || then(&closed, &to(Status::InProgress)));
    }
    let options = Options { groups: Some(256), advance: Some(4), ..Options::default() };
    let closed = closed(with_options(Format::GroupStage, options), 1024);
    timed("256 groups whose four go on begin", 3, || then(&closed, &to(Status::InProgress)));
}

fn speed_of_a_report() {
    for (format, entrants) in [
        (Format::SingleElimination, 128),
        (Format::DoubleElimination, 128),
        (Format::DoubleElimination, 1024),
        (Format::RoundRobin, 32),
        (Format::Swiss, 256),
        (Format::GroupStage, 128),
    ] {
        let begun = then(&closed(settings(format), entrants), &to(Status::InProgress));
        let bout = open(&begun).unwrap();
        let command = Command::Report { key: bout.key, verdict: series(better(bout), 1) };
        timed(&format!("a report in {format:?} of {entrants}"), 200, || begun.apply(&command, ORGANIZER, 0));
        let over = played(&begun, better);
        let last = over.existing().last().unwrap().key;
        let reset = then(&over, &Command::Reset { key: last });
        let command = Command::Report { key: last, verdict: series(better(&reset.bouts[&last]), 1) };
        timed(&format!("the last report in {format:?} of {entrants}"), 50, || {
            reset.apply(&command, ORGANIZER, 0)
        });
        timed(&format!("the places of {format:?} of {entrants}"), 50, || over.final_places());
    }
}

fn speed_of_a_round_of_swiss() {
    for (entrants, rounds) in [(64, 6), (256, 9), (255, 9), (512, 9), (1024, 10)] {
        let options = Options { swiss_rounds: Some(rounds), ..Options::default() };
        let closed = closed(with_options(Format::Swiss, options), entrants);
        let start = Instant::now();
        let mut swiss = then(&closed, &to(Status::InProgress));
        println!("round 1 of {entrants}: {:.1} ms", start.elapsed().as_secs_f64() * 1000.0);
        for round in 2..=rounds {
            // All results of a round at once.
            for bout in swiss.bouts.values_mut().filter(|bout| bout.is_real() && bout.outcome.is_none()) {
                let verdict = series(by_hash(bout), 1);
                let winner = verdict.scores[0] > verdict.scores[1];
                let winner = Some(if winner {
                    mohaa_domain::tournament::Side::One
                } else {
                    mohaa_domain::tournament::Side::Two
                });
                bout.outcome = Some(mohaa_domain::tournament::Report {
                    by: ORGANIZER,
                    at: 0,
                    verdict: mohaa_domain::tournament::Verdict { winner, ..verdict },
                });
            }
            swiss = then(&swiss, &Command::Clock { random: 0 });
            let start = Instant::now();
            swiss = then(&swiss, &Command::NextRound { allow_rematches: false });
            println!("round {round} of {entrants}: {:.1} ms", start.elapsed().as_secs_f64() * 1000.0);
        }
    }
    let options = Options {
        first_stage: FirstStage::Swiss,
        knockout: Knockout::DoubleElimination,
        ..Options::default()
    };
    let closed = closed(with_options(Format::GroupStage, options), 256);
    timed("Swiss of 256 with a knockout begins", 2, || then(&closed, &to(Status::InProgress)));
}

fn main() {
    speed_of_a_start();
    speed_of_a_report();
    speed_of_a_round_of_swiss();
}
