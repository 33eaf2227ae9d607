//! Tournaments to play, and what has to hold of each of them after each step.

use std::collections::{BTreeMap, BTreeSet};

use mohaa_domain::tournament::{
    Applied, At, Bout, BoutStatus, By, Change, Command, EntrantId, Forfeit, Format, Holder, Key, Occupant,
    Options, Ordering, Place, Refusal, Section, Settings, Side, Source, Status, Times, Tournament, Verdict,
};

pub const ORGANIZER: By = By::Organizer(1);

pub fn settings(format: Format) -> Settings {
    Settings {
        name: "Cup".to_owned(),
        description: String::new(),
        format,
        max_participants: 1024,
        min_participants: 2,
        team_size: 1,
        game_mode: None,
        map_pool: Vec::new(),
        timelimit: None,
        fraglimit: None,
        roundlimit: None,
        best_of: 1,
        seeding: Ordering::InnerOuter,
        times: Times::default(),
        options: Options::default(),
    }
}

pub fn with_options(format: Format, options: Options) -> Settings {
    Settings { options, ..settings(format) }
}

/// By the organizer, at the time 0.
pub fn then(tournament: &Tournament, command: &Command) -> Tournament {
    by(tournament, ORGANIZER, 0, command)
}

#[track_caller]
pub fn by(tournament: &Tournament, by: By, at: At, command: &Command) -> Tournament {
    tournament.apply(command, by, at).map_err(|refusal| refusal.to_string()).unwrap().tournament
}

#[track_caller]
pub fn refused(tournament: &Tournament, by: By, at: At, command: &Command) -> Refusal {
    tournament.apply(command, by, at).expect_err("a refusal")
}

pub fn to(status: Status) -> Command {
    Command::SetStatus { to: status, random: 7 }
}

pub fn register(name: &str) -> Command {
    Command::Register { holder: Holder::Nobody, name: name.to_owned(), player_id: None, rating: None }
}

pub fn entrants(tournament: &Tournament, number: u32) -> Tournament {
    (1..=number)
        .fold(tournament.clone(), |tournament, number| then(&tournament, &register(&number.to_string())))
}

/// With entrants 1 to `number`, who are the seeds of the same numbers, but not begun.
pub fn closed(settings: Settings, number: u32) -> Tournament {
    let open = then(&Tournament::new(settings), &to(Status::RegistrationOpen));
    then(&entrants(&open, number), &to(Status::RegistrationClosed))
}

pub fn begun(settings: Settings, number: u32) -> Tournament {
    then(&closed(settings, number), &to(Status::InProgress))
}

pub fn key(text: &str) -> Key {
    text.parse().unwrap()
}

pub fn bout<'a>(tournament: &'a Tournament, text: &str) -> &'a Bout {
    &tournament.bouts[&key(text)]
}

/// The sides of a match: seeds, 0 for a bye, null for somebody not known yet.
pub fn sides(bout: &Bout) -> [Option<u32>; 2] {
    bout.occupants.map(|occupant| match occupant {
        Occupant::Tbd => None,
        Occupant::Bye => Some(0),
        Occupant::Entrant(EntrantId(id)) => Some(id),
    })
}

pub fn score(one: u32, two: u32) -> Verdict {
    Verdict { scores: [one, two], winner: None, forfeit: None, games: Vec::new() }
}

pub fn forfeit(forfeit: Forfeit) -> Verdict {
    Verdict { forfeit: Some(forfeit), ..score(0, 0) }
}

pub fn win(side: Side) -> Verdict {
    match side {
        Side::One => score(1, 0),
        Side::Two => score(0, 1),
    }
}

/// Scores with which a side wins a match of so many games.
pub fn series(side: Side, best_of: u8) -> Verdict {
    let need = u32::from(best_of).div_ceil(2);
    match side {
        Side::One => score(need, 0),
        Side::Two => score(0, need),
    }
}

pub fn report(text: &str, verdict: Verdict) -> Command {
    Command::Report { key: key(text), verdict }
}

pub fn correct(text: &str, verdict: Verdict) -> Command {
    Command::Correct { key: key(text), verdict }
}

pub fn reported(tournament: &Tournament, text: &str, verdict: Verdict) -> Tournament {
    then(tournament, &report(text, verdict))
}

pub fn open(tournament: &Tournament) -> Option<&Bout> {
    tournament.existing().find(|bout| matches!(bout.status, BoutStatus::Ready | BoutStatus::Running))
}

/// Plays all that is left; who wins is asked with the key and the two entrants.
pub fn played(tournament: &Tournament, winner: impl FnMut(&Bout) -> Side) -> Tournament {
    played_and(tournament, winner, |_| {})
}

/// The same, and looks at it after each step.
pub fn played_and(
    tournament: &Tournament,
    mut winner: impl FnMut(&Bout) -> Side,
    mut look: impl FnMut(&Tournament),
) -> Tournament {
    let mut tournament = tournament.clone();
    while tournament.status == Status::InProgress {
        let next = match open(&tournament) {
            Some(bout) => Command::Report { key: bout.key, verdict: series(winner(bout), bout.best_of) },
            None => Command::NextRound { allow_rematches: true },
        };
        tournament = then(&tournament, &next);
        look(&tournament);
    }
    tournament
}

pub fn better(bout: &Bout) -> Side {
    if bout.occupants[0].entrant() < bout.occupants[1].entrant() { Side::One } else { Side::Two }
}

pub fn worse(bout: &Bout) -> Side {
    better(bout).other()
}

/// FNV-1a of the match and who plays decides, as in the vectors.
pub fn by_hash(bout: &Bout) -> Side {
    let mut seeds = sides(bout).map(Option::unwrap);
    seeds.sort_unstable();
    let text = format!("{}:{}:{}", bout.key, seeds[0], seeds[1]);
    let hash =
        text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    if hash >> 16 & 1 == 1 { better(bout) } else { worse(bout) }
}

pub fn places(tournament: &Tournament) -> Vec<Vec<u32>> {
    tournament.final_places().iter().map(|tier| tier.iter().map(|id| id.0).collect()).collect()
}

/// Matches that were played by somebody.
pub fn really_played(tournament: &Tournament) -> usize {
    tournament.existing().filter(|bout| bout.outcome.is_some()).count()
}

/// How often each lost.
pub fn losses(tournament: &Tournament) -> BTreeMap<EntrantId, usize> {
    let mut losses: BTreeMap<EntrantId, usize> = tournament.draw.seeds.iter().map(|id| (*id, 0)).collect();
    for bout in tournament.existing().filter(|bout| bout.outcome.is_some()) {
        if let Occupant::Entrant(id) = bout.loser() {
            *losses.get_mut(&id).unwrap() += 1;
        }
    }
    losses
}

fn is_knockout(bout: &Bout) -> bool {
    !matches!(bout.key.section, Section::Group | Section::Swiss)
}

/// What holds of every tournament at any time.
#[track_caller]
pub fn assert_sound(tournament: &Tournament) {
    let mut unfinished: BTreeSet<EntrantId> = BTreeSet::new();
    for bout in tournament.bouts.values() {
        let key = bout.key;
        let ids: Vec<EntrantId> = bout.occupants.iter().filter_map(|side| side.entrant()).collect();
        assert!(ids.len() < 2 || ids[0] != ids[1], "{key}: nobody plays himself");
        if bout.has_bye() {
            assert_eq!(bout.outcome, None, "{key}: a bye asks for no result");
            assert!(!matches!(bout.status, BoutStatus::Ready | BoutStatus::Running), "{key}");
        }
        match bout.status {
            BoutStatus::Ready | BoutStatus::Running => {
                assert!(bout.is_real() && bout.outcome.is_none(), "{key}");
                let none_left = ids.iter().all(|id| !tournament.entrants[id].is_out());
                assert!(none_left, "{key}: who left plays no more");
            }
            BoutStatus::Completed => assert!(bout.outcome.is_some() || bout.has_bye(), "{key}"),
            BoutStatus::Waiting => assert_eq!(ids.len(), 1, "{key}"),
            BoutStatus::Locked => assert_eq!(ids.len(), 0, "{key}"),
        }
        if bout.outcome.is_some() {
            assert!(bout.is_real() && bout.status == BoutStatus::Completed, "{key}");
        } else if !bout.is_real() {
            assert!(!bout.is_touched(), "{key}: nothing was said where not both are known");
        }
        assert!(bout.accept_at.is_none() || bout.outcome.is_none(), "{key}");
        if key == Key::RESET && !tournament.reset_is_due() {
            assert_eq!(bout.occupants, [Occupant::Tbd; 2], "the reset match is hidden");
        } else {
            for (source, occupant) in bout.sources.iter().zip(bout.occupants) {
                let expected = match source {
                    Source::Bye => Occupant::Bye,
                    Source::Entrant(id) => Occupant::Entrant(*id),
                    Source::Seed(seed) => Occupant::Entrant(tournament.draw.seeds[usize::from(*seed) - 1]),
                    Source::Winner(from) => tournament.bouts[from].winner(),
                    Source::Loser(from) => tournament.bouts[from].loser(),
                    Source::Placed(..) => continue,
                };
                assert_eq!(occupant, expected, "{key}: {source:?}");
            }
        }
        if is_knockout(bout) && bout.status != BoutStatus::Completed {
            for id in ids {
                assert!(unfinished.insert(id), "{key}: {id:?} is in two unfinished matches");
            }
        }
    }
    let left = open(tournament).is_some();
    match tournament.status {
        Status::InProgress => {
            let next_round = tournament.has_swiss()
                && !tournament.swiss_is_over()
                && tournament.section(Section::Swiss).all(|bout| bout.status == BoutStatus::Completed);
            assert!(left || next_round, "something is left to be done");
            assert!(tournament.final_places().is_empty());
        }
        Status::Completed => {
            assert!(!left);
            let mut placed: Vec<EntrantId> = tournament.final_places().concat();
            placed.sort_unstable();
            let mut field = tournament.draw.seeds.clone();
            field.sort_unstable();
            assert_eq!(placed, field, "each has one place");
            assert!(tournament.final_places().iter().all(|tier| !tier.is_empty()));
        }
        _ => assert!(tournament.final_places().is_empty()),
    }
    let field = tournament.field().count();
    assert!(field <= tournament.settings.max_participants as usize);
    if !tournament.status.has_begun() && tournament.status != Status::Cancelled {
        let waits = tournament.waiting().next().is_some();
        assert!(!waits || field == tournament.settings.max_participants as usize, "no place is left free");
    }
    for entrant in tournament.entrants.values() {
        let gone = !matches!(entrant.place, Place::Registered | Place::Waiting);
        assert_eq!(entrant.left_at.is_some(), gone, "{entrant:?}");
    }
}

/// A tournament that is checked at every step and can be replayed.
pub struct Checked {
    pub draft: Tournament,
    pub now: Tournament,
    pub log: Vec<(Command, By, At)>,
}

impl Checked {
    pub fn new(settings: Settings) -> Checked {
        let draft = Tournament::new(settings);
        Checked { now: draft.clone(), draft, log: Vec::new() }
    }

    pub fn try_to(&mut self, command: Command, by: By, at: At) -> Result<Applied, Refusal> {
        let before = self.now.clone();
        let applied = self.now.apply(&command, by, at);
        assert_eq!(self.now, before);
        if let Ok(applied) = &applied {
            let after = &applied.tournament;
            assert_sound(after);
            assert_eq!(applied.changes, before.changes_to(after));
            let mut reverted = after.clone();
            let kept = serde_json::to_string(&applied.changes).unwrap();
            reverted.revert(&serde_json::from_str::<Vec<Change>>(&kept).unwrap());
            assert_eq!(reverted, before, "{command:?} is taken back");
            let undone = after.undo(&applied.changes, by).tournament;
            let held = Tournament {
                clock_is_held: before.clock_is_held || by == By::Clock,
                // No number is given twice.
                last_entrant: applied.tournament.last_entrant,
                ..before
            };
            assert_eq!(undone, held, "{command:?} is undone");
            self.now = after.clone();
            self.log.push((command, by, at));
        }
        applied
    }

    #[track_caller]
    pub fn does(&mut self, command: Command) -> Applied {
        self.try_to(command, ORGANIZER, 0).map_err(|refusal| refusal.to_string()).unwrap()
    }

    /// The log and the state survive JSON, and the log gives the same state again.
    #[track_caller]
    pub fn assert_replays(&self) {
        let log = serde_json::to_string(&self.log).unwrap();
        let log: Vec<(Command, By, At)> = serde_json::from_str(&log).unwrap();
        assert_eq!(log, self.log);
        let replayed = log
            .iter()
            .fold(self.draft.clone(), |tournament, (command, who, at)| by(&tournament, *who, *at, command));
        assert_eq!(replayed, self.now);
        let state = serde_json::to_string(&self.now).unwrap();
        assert_eq!(serde_json::from_str::<Tournament>(&state).unwrap(), self.now);
    }
}
