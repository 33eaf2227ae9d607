//! What holds whatever is done to whichever tournament.

use mohaa_domain::tournament::{
    At, By, Command, EntrantId, FirstStage, Forfeit, Format, Game, GrandFinal, GroupSeeding, Holder, Key,
    Knockout, Options, Ordering, Plan, SeedBy, Settings, Side, Status, TieBreak, Times, Tournament, Verdict,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::play::{Checked, ORGANIZER, assert_sound, played, register, series, settings, to, worse};

fn formats() -> impl Strategy<Value = Format> {
    prop::sample::select(vec![
        Format::SingleElimination,
        Format::DoubleElimination,
        Format::RoundRobin,
        Format::Swiss,
        Format::GroupStage,
    ])
}

prop_compose! {
    fn options()(
        grand_final in prop::option::of(prop::sample::select(vec![
            GrandFinal::None, GrandFinal::Simple, GrandFinal::Double,
        ])),
        (third_place, consolation, lower_start, double_round_robin, swiss) in
            any::<(bool, bool, bool, bool, bool)>(),
        (double, allow_rematches) in any::<(bool, bool)>(),
        groups in prop::option::weighted(0.3, 1_u32..4),
        advance in prop::option::weighted(0.3, 1_u32..5),
        (swiss_rounds, swiss_wins, swiss_losses) in (
            prop::option::of(1_u32..5), prop::option::weighted(0.3, 1_u32..4), prop::option::weighted(0.3, 1_u32..4),
        ),
        group_seeding in prop::sample::select(vec![
            GroupSeeding::EffortBalanced, GroupSeeding::SeedOptimized, GroupSeeding::BracketOptimized,
        ]),
        seed_by in prop::sample::select(vec![SeedBy::Registration, SeedBy::Rating, SeedBy::Random]),
        tie_breaks in prop::option::of(Just(vec![
            TieBreak::HeadToHead, TieBreak::Rating, TieBreak::Wins, TieBreak::DrawOfLots,
        ])),
        best_of_final in prop::option::of(prop::sample::select(vec![1_u8, 3, 5])),
    ) -> Options {
        Options {
            grand_final, third_place, consolation, lower_start, groups, group_seeding, double_round_robin,
            first_stage: if swiss { FirstStage::Swiss } else { FirstStage::Groups },
            knockout: if double { Knockout::DoubleElimination } else { Knockout::SingleElimination },
            advance, swiss_rounds, swiss_wins, swiss_losses, allow_rematches, tie_breaks, points: None, seed_by,
            best_of_rounds: best_of_final.map(|games| ("final".to_owned(), games)).into_iter().collect(),
            auto_accept_minutes: Some(1), veto: None,
        }
    }
}

prop_compose! {
    fn all_settings()(
        format in formats(),
        options in options(),
        max_participants in 2_u32..14,
        best_of in prop::sample::select(vec![1_u8, 1, 3]),
        seeding in prop::sample::select(vec![
            Ordering::InnerOuter, Ordering::InnerOuter, Ordering::Natural, Ordering::Reverse,
            Ordering::HalfShift, Ordering::ReverseHalfShift, Ordering::PairFlip,
        ]),
        times in prop::option::weighted(0.3, any::<[bool; 5]>()),
    ) -> Settings {
        let given = times.unwrap_or_default();
        let time = |place: usize| given[place].then_some(place as At * 400_000);
        Settings {
            max_participants, best_of, seeding, options,
            map_pool: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
            times: Times {
                registration_start: time(0), registration_end: time(1), checkin_start: time(2),
                checkin_end: time(3), start_time: time(4),
            },
            ..settings(format)
        }
    }
}

/// A command out of numbers: mostly one that the tournament can be told now.
type Raw = (u8, u16, u16, u8, bool);

fn command(tournament: &Tournament, (kind, one, two, small, sensible): Raw) -> (Command, By) {
    let entrant = EntrantId(u32::from(one) % (tournament.last_entrant + 2));
    let keys: Vec<Key> = tournament.bouts.keys().copied().collect();
    let open: Vec<Key> = tournament
        .existing()
        .filter(|bout| bout.is_real() && bout.outcome.is_none())
        .map(|bout| bout.key)
        .collect();
    let pick = |keys: &[Key]| keys.get(usize::from(one) % keys.len().max(1)).copied();
    let any = pick(&keys).unwrap_or(Key::RESET);
    let key = if sensible { pick(&open).unwrap_or(any) } else { any };
    let bout = tournament.bouts.get(&key);
    let best_of = bout.map_or(1, |bout| bout.best_of);
    let verdict = match small % 12 {
        0..=4 => series(Side::One, best_of),
        5..=8 => series(Side::Two, best_of),
        9 => Verdict { scores: [1, 1], winner: None, forfeit: None, games: Vec::new() },
        10 => Verdict {
            forfeit: Some([Forfeit::One, Forfeit::Two, Forfeit::Both][usize::from(two) % 3]),
            ..series(Side::One, 1)
        },
        _ => Verdict {
            scores: [u32::from(one), u32::from(two)],
            winner: None,
            forfeit: None,
            games: Vec::new(),
        },
    };
    let side = bout.and_then(|bout| bout.occupants[usize::from(two) % 2].entrant()).unwrap_or(entrant);
    let captain = By::Captain(i64::from(side.0), side);
    let server = By::Server(Uuid::from_u128(u128::from(two)));
    let random = u64::from(one);
    let name = format!("{}", u32::from(one) % 50);
    let reason = "because".to_owned();
    match kind % 56 {
        0..=3 => {
            let holder = if two % 2 == 0 { Holder::User(i64::from(two % 40)) } else { Holder::Nobody };
            let rating = (two % 3 == 0).then(|| f64::from(small) / 4.0);
            (Command::Register { holder, name, player_id: None, rating }, ORGANIZER)
        }
        4 => (Command::Withdraw { entrant }, ORGANIZER),
        5 if small % 4 == 0 => (Command::Disqualify { entrant, reason }, ORGANIZER),
        6 => (Command::CheckIn { entrant }, ORGANIZER),
        7 => {
            let order = tournament.field().map(|entrant| entrant.id).skip(usize::from(small % 5)).collect();
            (Command::Seed { order }, ORGANIZER)
        }
        8..=10 | 29..=31 => (Command::NextRound { allow_rematches: two % 2 == 0 }, ORGANIZER),
        11 => (Command::Confirm { key }, captain),
        12 => (Command::Dispute { key, reason }, captain),
        13 => (Command::Resolve { key, verdict }, ORGANIZER),
        14 if small % 4 == 0 => (Command::Reset { key: any }, ORGANIZER),
        15 => {
            let plan = Plan { map: Some("a".to_owned()), ..Plan::default() };
            (Command::Plan { key, plan, fields: None }, ORGANIZER)
        }
        16 => (Command::Start { key }, captain),
        17 => (Command::Veto { key, map: ["a", "b", "c", "d"][usize::from(two) % 4].to_owned() }, captain),
        18 | 27 | 28 => (Command::Correct { key: any, verdict }, ORGANIZER),
        19 => {
            let game = Game {
                map: None,
                score1: u32::from(small % 3),
                score2: u32::from(two % 3),
                winner: None,
                match_id: (two % 2 == 0).then(|| Uuid::from_u128(u128::from(two))),
            };
            (Command::ReportGame { key, game }, server)
        }
        20 => (Command::Report { key, verdict }, server),
        21 | 22 => (Command::Report { key, verdict }, captain),
        23 => (Command::Clock { random }, By::Clock),
        24 => {
            let mut settings = tournament.settings.clone();
            settings.max_participants = 2 + u32::from(one % 14);
            settings.name = name;
            (Command::Update { settings: Box::new(settings), fields: None }, ORGANIZER)
        }
        25 | 26 => {
            let next = match tournament.status {
                Status::Draft => Status::RegistrationOpen,
                Status::RegistrationOpen => Status::RegistrationClosed,
                Status::RegistrationClosed if small % 4 == 0 => Status::Checkin,
                _ if small == 1 => Status::Cancelled,
                _ => Status::InProgress,
            };
            (Command::SetStatus { to: next, random }, ORGANIZER)
        }
        _ => (Command::Report { key, verdict }, ORGANIZER),
    }
}

fn raw() -> impl Strategy<Value = Raw> {
    (any::<u8>(), any::<u16>(), any::<u16>(), any::<u8>(), prop::bool::weighted(0.8))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_it_stays_sound_is_taken_back_and_replays(
        settings in all_settings(),
        entered in 0_u32..16,
        begin in any::<bool>(),
        commands in prop::collection::vec((raw(), 0_i64..60_000), 1..200),
    ) {
        prop_assert_eq!(settings.mistakes(), vec![]);
        let mut checked = Checked::new(settings);
        let mut at = 0;
        if begin {
            checked.does(to(Status::RegistrationOpen));
            for entrant in 1..=entered {
                checked.does(register(&format!("entrant {entrant}")));
            }
            checked.does(to(Status::RegistrationClosed));
            if checked.now.settings.times.has_checkin() {
                checked.does(to(Status::Checkin));
                for entrant in 1..=entered {
                    checked.does(Command::CheckIn { entrant: EntrantId(entrant) });
                }
            }
            let _ = checked.try_to(to(Status::InProgress), ORGANIZER, 0);
        }
        for (raw, passes) in commands {
            at += passes;
            let (command, by) = command(&checked.now, raw);
            let before = checked.now.clone();
            if let Ok(applied) = checked.try_to(command.clone(), by, at) {
                if matches!(command, Command::Clock { .. }) {
                    prop_assert!(applied.tournament.next_deadline().is_none_or(|due| due > at));
                }
                // Telling the clock the same time again changes nothing.
                let clock = Command::Clock { random: 1 };
                let ticked = applied.tournament.apply(&clock, By::Clock, at).unwrap().tournament;
                let again = ticked.apply(&clock, By::Clock, at).unwrap();
                prop_assert!(again.changes.is_empty());
                for key in &applied.fallen {
                    prop_assert!(before.bouts[key].is_touched());
                }
            }
        }
        checked.assert_replays();
        if checked.now.status == Status::InProgress {
            let over = played(&checked.now, worse);
            assert_sound(&over);
            prop_assert_eq!(over.status, Status::Completed);
        }
    }

    #[test]
    fn no_command_on_any_match_of_any_name_panics(
        format in formats(),
        texts in prop::collection::vec("(R|W|L|S|G[0-9]{1,5}.R)[0-9]{1,5}.[0-9]{1,5}|GF[12]|C1", 1..20),
        kinds in prop::collection::vec(0_u8..11, 20),
    ) {
        let mut tournament = super::play::begun(settings(format), 5);
        for (text, kind) in texts.iter().zip(kinds) {
            let Ok(key) = text.parse::<Key>() else { continue };
            let verdict = series(Side::One, 1);
            let game = Game { map: None, score1: 1, score2: 0, winner: None, match_id: None };
            let command = match kind {
                0 => Command::Report { key, verdict },
                1 => Command::ReportGame { key, game },
                2 => Command::Confirm { key },
                3 => Command::Dispute { key, reason: "no".to_owned() },
                4 => Command::Resolve { key, verdict },
                5 => Command::Reset { key },
                6 => Command::Plan { key, plan: Plan::default(), fields: None },
                7 => Command::Start { key },
                8 => Command::Veto { key, map: "a".to_owned() },
                _ => Command::Correct { key, verdict },
            };
            for by in [ORGANIZER, By::Server(Uuid::nil()), By::Captain(1, EntrantId(1))] {
                if let Ok(applied) = tournament.apply(&command, by, 0) {
                    assert_sound(&applied.tournament);
                    tournament = applied.tournament;
                }
            }
        }
    }
}
