//! Doing a command: who may, when, and what it changes.

use super::At;
use super::bout::{
    Bout, By, Dispute, Forfeit, Game, Plan, Report, Side, Status as BoutStatus, Verdict, VetoChoice, leader,
};
use super::change::Change;
use super::command::{Command, Refusal};
use super::entrant::{Entrant, EntrantId, Holder, Place};
use super::key::Key;
use super::settings::{LONGEST_MAP, Settings, VetoStep, is_line};
use super::state::{Status, Step, Tournament};

const LONGEST_NAME: usize = 64;
const LONGEST_REASON: usize = 500;
/// Scores of sixteen million fit every format that scores are kept in, and no game has them.
const GREATEST_SCORE: u32 = 1 << 24;
/// Of one match, drawn ones included, which are played again.
const MOST_GAMES: usize = 32;
const LONGEST_ADDRESS: usize = 500;

/// A mutation done.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    pub tournament: Tournament,
    /// Empty: all of it was so already.
    pub changes: Vec<Change>,
    /// Matches that were played, or in which something was said, and that are open again because their sides changed.
    pub fallen: Vec<Key>,
    /// Whom a registration made.
    pub entrant: Option<EntrantId>,
}

impl Tournament {
    /// What `command` by `by` makes of this tournament. Authorisation is the caller's: that `by` is true; what `by` may do
    /// is decided here.
    pub fn apply(&self, command: &Command, by: By, at: At) -> Result<Applied, Refusal> {
        let mut next = self.clone();
        if by != By::Clock {
            (next.clock_is_held, next.held_up) = (false, None);
        }
        let entrant = next.perform(command, by, at)?;
        let fallen = next.settle();
        let changes = self.changes_to(&next);
        Ok(Applied { tournament: next, changes, fallen, entrant })
    }

    /// Takes back the last mutation, which made `changes`. What time brought about stays undone until somebody acts.
    pub fn undo(&self, changes: &[Change], was_by: By) -> Applied {
        let mut next = self.clone();
        next.revert(changes);
        next.clock_is_held |= was_by == By::Clock;
        let changes = self.changes_to(&next);
        Applied { tournament: next, changes, fallen: Vec::new(), entrant: None }
    }

    fn perform(&mut self, command: &Command, by: By, at: At) -> Result<Option<EntrantId>, Refusal> {
        match command {
            Command::Register { holder, name, player_id, rating } => {
                let id = self.register(*holder, name, by, at)?;
                if let Some(entrant) = self.entrants.get_mut(&id) {
                    (entrant.player_id, entrant.rating) =
                        (player_id.clone(), rating.filter(|rating| rating.is_finite()).map(millionths));
                }
                return Ok(Some(id));
            }
            Command::Update { settings } => self.update(settings, by)?,
            Command::SetStatus { to, random } => {
                only_organizers(by)?;
                self.set_status(*to, *random, at)?;
            }
            Command::Clock { random } => self.on_time(at, *random),
            Command::Withdraw { entrant } => self.withdraw(*entrant, by, at)?,
            Command::Disqualify { entrant, reason } => self.disqualify(*entrant, reason, by, at)?,
            Command::CheckIn { entrant } => self.check_in(*entrant, by)?,
            Command::Seed { order } => self.seed(order, by)?,
            Command::NextRound { allow_rematches } => self.next_round(*allow_rematches, by)?,
            Command::Report { key, verdict } => self.report(*key, verdict, by, at)?,
            Command::ReportGame { key, game } => self.report_game(*key, game, by, at)?,
            Command::Confirm { key } => self.confirm(*key, by, at)?,
            Command::Dispute { key, reason } => self.dispute(*key, reason, by, at)?,
            Command::Resolve { key, verdict } => self.resolve(*key, verdict, by, at)?,
            Command::Reset { key } => self.reset(*key, by)?,
            Command::Plan { key, plan } => self.plan(*key, plan, by)?,
            Command::Start { key } => self.start(*key, by, at)?,
            Command::Veto { key, map } => self.veto(*key, map, by)?,
            Command::Correct { key, verdict } => self.correct(*key, verdict, by, at)?,
        }
        Ok(None)
    }

    fn update(&mut self, settings: &Settings, by: By) -> Result<(), Refusal> {
        only_organizers(by)?;
        let mistakes = settings.mistakes();
        if !mistakes.is_empty() {
            return Err(Refusal::Invalid(mistakes));
        }
        let old = &self.settings;
        let mut fixed: Vec<(&'static str, bool)> = Vec::new();
        if self.status >= Status::Completed {
            let texts_only = Settings {
                name: settings.name.clone(),
                description: settings.description.clone(),
                ..old.clone()
            };
            fixed.push(("what a finished tournament was played by", *settings != texts_only));
        }
        if self.status.has_begun() {
            let mut options = settings.options.clone();
            (options.auto_accept_minutes, options.allow_rematches) =
                (old.options.auto_accept_minutes, old.options.allow_rematches);
            fixed.extend([
                ("format", old.format != settings.format),
                ("max_participants", old.max_participants != settings.max_participants),
                ("min_participants", old.min_participants != settings.min_participants),
                ("best_of", old.best_of != settings.best_of),
                ("seeding", old.seeding != settings.seeding),
                ("options", old.options != options),
            ]);
        }
        if self.entrants.values().any(|entrant| entrant.place != Place::Withdrawn) {
            fixed.push(("team_size", old.team_size != settings.team_size));
        }
        if let Some((field, _)) = fixed.into_iter().find(|(_, changed)| *changed) {
            return Err(Refusal::Fixed(field));
        }
        let have = count(self.field());
        if have > settings.max_participants {
            return Err(Refusal::TooManyEntrants { have, allowed: settings.max_participants });
        }
        self.settings = settings.clone();
        if !self.status.has_begun() {
            self.move_up();
        }
        Ok(())
    }

    fn set_status(&mut self, to: Status, random: u64, at: At) -> Result<(), Refusal> {
        let from = self.status;
        if from == to {
            return Ok(());
        }
        let next = match from {
            Status::Draft => Some(Status::RegistrationOpen),
            Status::RegistrationOpen => Some(Status::RegistrationClosed),
            Status::RegistrationClosed if self.settings.times.has_checkin() => Some(Status::Checkin),
            Status::RegistrationClosed | Status::Checkin => Some(Status::InProgress),
            Status::InProgress => Some(Status::Completed),
            Status::Completed | Status::Cancelled => None,
        };
        let checkin_without_times = from == Status::RegistrationClosed && to == Status::Checkin;
        match to {
            Status::Cancelled if from < Status::Completed => {
                self.status = Status::Cancelled;
                Ok(())
            }
            _ if Some(to) != next && !checkin_without_times => Err(Refusal::NoSuchStep { from, to, next }),
            Status::InProgress => self.begin(random, at),
            // Once all is played it is completed by itself.
            Status::Completed => Err(Refusal::NotPlayed),
            _ => {
                self.status = to;
                Ok(())
            }
        }
    }

    fn begin(&mut self, random: u64, at: At) -> Result<(), Refusal> {
        if self.checkin_is_meant() {
            self.end_checkin(at);
        }
        self.make_bracket(random)?;
        self.status = Status::InProgress;
        Ok(())
    }

    /// Everything that is due: reports nobody answered, and the steps of the status one after the other.
    fn on_time(&mut self, at: At, random: u64) {
        if self.clock_is_held || self.status == Status::Cancelled {
            return;
        }
        let was_open = self.status == Status::Checkin;
        for bout in self.bouts.values_mut().filter(|bout| bout.accept_at.is_some_and(|due| due <= at)) {
            let report = bout.reports.last().cloned();
            bout.accept_at = None;
            if let Some(report) = report {
                decide(bout, Report { at, ..report });
            }
        }
        while let Some((_, step)) = self.next_step().filter(|(due, _)| *due <= at && self.held_up.is_none()) {
            match step {
                Step::EndCheckin if was_open => self.end_checkin(at),
                // Nobody is dropped by a window that opened and ended in the same moment: the clock came late to it.
                Step::EndCheckin => self.checkin_is_over = true,
                Step::To(Status::InProgress) => {
                    // The bracket is made of nothing else, so that a failure leaves the rest as it was.
                    let mut begun = self.clone();
                    begun.checkin_is_over |= self.status == Status::Checkin && !was_open;
                    match begun.begin(random, at) {
                        Ok(()) => *self = begun,
                        Err(refusal) => self.held_up = Some(refusal.to_string()),
                    }
                }
                Step::To(status) => self.status = status,
            }
        }
    }

    /// Whether who does not check in is dropped: not by a check-in without a window, opened by hand, in which nobody did.
    fn checkin_is_meant(&self) -> bool {
        self.status == Status::Checkin
            && (self.settings.times.has_checkin() || self.field().any(|entrant| entrant.checked_in))
    }

    fn end_checkin(&mut self, at: At) {
        if self.checkin_is_over {
            return;
        }
        self.checkin_is_over = true;
        for entrant in self.entrants.values_mut().filter(|entrant| entrant.is_in() && !entrant.checked_in) {
            (entrant.place, entrant.left_at) = (Place::NoShow, Some(at));
        }
        self.move_up();
    }

    /// Gives free places to those who wait, the first of them first.
    fn move_up(&mut self) {
        let free = self.settings.max_participants.saturating_sub(count(self.field()));
        let next: Vec<EntrantId> = self.waiting().take(free as usize).map(|entrant| entrant.id).collect();
        for id in next {
            if let Some(entrant) = self.entrants.get_mut(&id) {
                entrant.place = Place::Registered;
            }
        }
    }

    fn register(&mut self, holder: Holder, name: &str, by: By, at: At) -> Result<EntrantId, Refusal> {
        match self.status {
            Status::RegistrationOpen => {}
            Status::Draft | Status::RegistrationClosed | Status::Checkin if by.is_organizer() => {}
            status => return Err(Refusal::WrongStatus { status, needs: "registration_open" }),
        }
        match holder {
            Holder::Nobody => only_organizers(by)?,
            Holder::User(user) if !by.is_organizer() && by.user() != Some(user) => {
                return Err(Refusal::NotAllowed("the user himself or an organizer of the tournament"));
            }
            Holder::User(_) if self.settings.team_size > 1 => {
                return Err(Refusal::invalid("team_id", "teams take part in this tournament"));
            }
            Holder::Team(_) if by.user().is_none() => {
                return Err(Refusal::NotAllowed("the team's captain or an organizer of the tournament"));
            }
            Holder::User(_) | Holder::Team(_) => {}
        }
        let name = line(name, "name", LONGEST_NAME)?;
        let again = self.entrants.values().find(|entrant| match entrant.place {
            Place::Withdrawn | Place::NoShow => false,
            _ => match holder {
                Holder::Nobody => entrant.name == name,
                _ => entrant.holder == holder,
            },
        });
        if let Some(again) = again {
            return Err(Refusal::AlreadyEntered(again.id));
        }
        self.last_entrant += 1;
        let id = EntrantId(self.last_entrant);
        let full = count(self.field()) >= self.settings.max_participants;
        let entrant = Entrant {
            id,
            holder,
            name,
            player_id: None,
            place: if full { Place::Waiting } else { Place::Registered },
            left_at: None,
            reason: None,
            // Late entrants are there, or nobody would enter them.
            checked_in: self.checkin_is_meant(),
            rating: None,
            seed: None,
            registered_at: at,
        };
        self.entrants.insert(id, entrant);
        Ok(id)
    }

    fn entrant_mut(&mut self, id: EntrantId) -> Result<&mut Entrant, Refusal> {
        let entrant = self.entrants.get_mut(&id).ok_or(Refusal::UnknownEntrant(id))?;
        match entrant.place {
            Place::Registered | Place::Waiting => Ok(entrant),
            _ => Err(Refusal::HasLeft(id)),
        }
    }

    fn withdraw(&mut self, id: EntrantId, by: By, at: At) -> Result<(), Refusal> {
        own_or_organizers(by, id)?;
        self.must_not_be_over()?;
        let begun = self.status.has_begun();
        let entrant = self.entrant_mut(id)?;
        let plays = begun && entrant.is_in();
        entrant.place = if plays { Place::DroppedOut } else { Place::Withdrawn };
        entrant.left_at = Some(at);
        if !begun {
            entrant.seed = None;
            self.move_up();
        }
        Ok(())
    }

    fn disqualify(&mut self, id: EntrantId, reason: &str, by: By, at: At) -> Result<(), Refusal> {
        only_organizers(by)?;
        self.must_not_be_over()?;
        let reason = line(reason, "reason", LONGEST_REASON)?;
        let entrant = self.entrant_mut(id)?;
        (entrant.place, entrant.left_at, entrant.reason) = (Place::Disqualified, Some(at), Some(reason));
        if !self.status.has_begun() {
            self.move_up();
        }
        Ok(())
    }

    fn must_not_be_over(&self) -> Result<(), Refusal> {
        match self.status {
            Status::Completed | Status::Cancelled => {
                Err(Refusal::WrongStatus { status: self.status, needs: "not over" })
            }
            _ => Ok(()),
        }
    }

    fn check_in(&mut self, id: EntrantId, by: By) -> Result<(), Refusal> {
        own_or_staff(by, id)?;
        if self.status != Status::Checkin {
            return Err(Refusal::WrongStatus { status: self.status, needs: "checkin" });
        }
        let entrant = self.entrant_mut(id)?;
        if entrant.checked_in {
            return Err(Refusal::AlreadyCheckedIn(id));
        }
        entrant.checked_in = true;
        Ok(())
    }

    fn seed(&mut self, order: &[EntrantId], by: By) -> Result<(), Refusal> {
        only_organizers(by)?;
        if self.status.has_begun() || self.status == Status::Cancelled {
            return Err(Refusal::WrongStatus { status: self.status, needs: "not begun" });
        }
        for (at, id) in order.iter().enumerate() {
            if !self.entrants.get(id).is_some_and(Entrant::is_in) {
                return Err(Refusal::UnknownEntrant(*id));
            }
            if order[..at].contains(id) {
                return Err(Refusal::invalid("seeds", format!("participant {} is named twice", id.0)));
            }
        }
        for entrant in self.entrants.values_mut() {
            let place = order.iter().position(|id| *id == entrant.id);
            entrant.seed = place.and_then(|place| u32::try_from(place + 1).ok());
        }
        Ok(())
    }

    fn next_round(&mut self, allow_rematches: bool, by: By) -> Result<(), Refusal> {
        only_organizers(by)?;
        if !self.has_swiss() {
            return Err(Refusal::NotSwiss);
        }
        if self.status == Status::Completed {
            return Err(Refusal::NoFurtherRound);
        }
        self.must_be_in_progress()?;
        let open = self.section(super::key::Section::Swiss).find(|bout| bout.status != BoutStatus::Completed);
        if let Some(open) = open {
            return Err(Refusal::RoundIsOpen(open.key));
        }
        if self.swiss_is_over() {
            return Err(Refusal::NoFurtherRound);
        }
        self.pair_swiss(allow_rematches || self.settings.options.allow_rematches)
    }

    fn must_be_in_progress(&self) -> Result<(), Refusal> {
        match self.status {
            Status::InProgress => Ok(()),
            status => Err(Refusal::WrongStatus { status, needs: "in_progress" }),
        }
    }

    /// A match that two sides can play.
    fn bout_mut(&mut self, key: Key) -> Result<&mut Bout, Refusal> {
        if !self.status.has_begun() && !self.bouts.is_empty() {
            return Err(Refusal::WrongStatus { status: self.status, needs: "in_progress" });
        }
        let due = key != Key::RESET || self.reset_is_due();
        let bout = self.bouts.get_mut(&key).ok_or(Refusal::UnknownMatch(key))?;
        if !due {
            return Err(Refusal::ResetNotDue);
        }
        if bout.has_bye() {
            return Err(Refusal::HasBye(key));
        }
        Ok(bout)
    }

    /// A match that is being played or can be.
    fn open_bout(&mut self, key: Key) -> Result<&mut Bout, Refusal> {
        let bout = self.bout_mut(key)?;
        match bout.status {
            BoutStatus::Ready | BoutStatus::Running => Ok(bout),
            BoutStatus::Completed => Err(Refusal::AlreadyDecided(key)),
            status => Err(Refusal::NotReady { key, status }),
        }
    }

    /// Whether somebody has a say in a match: a captain of one of its sides, and staff. Asked before anything else.
    fn must_have_a_say(&self, key: Key, by: By) -> Result<(), Refusal> {
        let bout = self.bouts.get(&key).ok_or(Refusal::UnknownMatch(key))?;
        match by {
            By::Captain(_, entrant) if bout.side_of(entrant).is_some() => Ok(()),
            By::Organizer(_) | By::Referee(_) => Ok(()),
            _ => Err(Refusal::NotAllowed("a captain of one of the sides, a referee or an organizer")),
        }
    }

    fn must_have_a_say_or_be_server(&self, key: Key, by: By) -> Result<(), Refusal> {
        if matches!(by, By::Server(_)) { Ok(()) } else { self.must_have_a_say(key, by) }
    }

    fn report(&mut self, key: Key, verdict: &Verdict, by: By, at: At) -> Result<(), Refusal> {
        self.must_have_a_say_or_be_server(key, by)?;
        let (draws, accept_after) = (self.has_draws(key), self.settings.options.auto_accept());
        let bout = self.bout_mut(key)?;
        let verdict = checked(verdict, bout.best_of, draws)?;
        let report = Report { by, at, verdict };
        if let (By::Server(_), Some(outcome)) = (by, &bout.outcome)
            && outcome.verdict.agrees(&report.verdict)
        {
            // Servers say it again.
            return Ok(());
        }
        let bout = self.open_bout(key)?;
        if by.is_staff() {
            decide(bout, report);
            return Ok(());
        }
        if bout.dispute.is_some() {
            // Who has not spoken is heard, and who says it again too; it is decided by an organizer all the same.
            match bout.reports.iter().find(|other| same_witness(other.by, by)) {
                None => bout.reports.push(report),
                Some(said) if said.verdict.agrees(&report.verdict) && matches!(by, By::Server(_)) => {}
                Some(_) => return Err(Refusal::Disputed(key)),
            }
            return Ok(());
        }
        bout.reports.retain(|other| !same_witness(other.by, by));
        bout.reports.push(report.clone());
        let agreed = bout.reports.iter().all(|other| other.verdict.agrees(&report.verdict));
        if !agreed {
            bout.accept_at = None;
            bout.dispute = Some(Dispute { by, at, reason: "the reports differ".to_owned() });
        } else if bout.reports.len() > 1 || matches!(by, By::Server(_)) {
            decide(bout, report);
        } else {
            bout.accept_at = accept_after.map(|after| at + after);
        }
        Ok(())
    }

    /// One game more, or the same one again. When a side has enough, it is a report.
    fn report_game(&mut self, key: Key, game: &Game, by: By, at: At) -> Result<(), Refusal> {
        if !matches!(by, By::Server(_)) {
            return Err(Refusal::NotAllowed("the match's server"));
        }
        checked_games(std::slice::from_ref(game), 1)?;
        let best_of = self.bout_mut(key)?.best_of;
        if best_of == 1 {
            let verdict = Verdict {
                scores: [game.score1, game.score2],
                winner: game.winner(),
                forfeit: None,
                games: vec![game.clone()],
            };
            return self.report(key, &verdict, by, at);
        }
        let bout = self.bout_mut(key)?;
        let known = |other: &Game| game.match_id.is_some() && other.match_id == game.match_id;
        if bout.outcome.as_ref().is_some_and(|outcome| outcome.verdict.games.iter().any(known)) {
            return Ok(());
        }
        let bout = self.open_bout(key)?;
        match bout.games.iter_mut().find(|other| known(other)) {
            Some(other) => *other = game.clone(),
            None => bout.games.push(game.clone()),
        }
        checked_games(&bout.games, best_of)?;
        let scores = games_won(&bout.games);
        if scores.iter().max().is_some_and(|most| *most >= u32::from(best_of).div_ceil(2)) {
            let games = bout.games.clone();
            let verdict = Verdict { scores, winner: leader(scores[0], scores[1]), forfeit: None, games };
            return self.report(key, &verdict, by, at);
        }
        bout.started_at = bout.started_at.or(Some(at));
        Ok(())
    }

    fn confirm(&mut self, key: Key, by: By, at: At) -> Result<(), Refusal> {
        self.must_have_a_say(key, by)?;
        let bout = self.open_bout(key)?;
        let report = bout.reports.last().cloned().ok_or(Refusal::NothingReported(key))?;
        if bout.dispute.is_some() {
            return Err(Refusal::Disputed(key));
        }
        if same_witness(report.by, by) {
            return Err(Refusal::OwnReport(key));
        }
        decide(bout, Report { by, at, ..report });
        Ok(())
    }

    fn dispute(&mut self, key: Key, reason: &str, by: By, at: At) -> Result<(), Refusal> {
        self.must_have_a_say(key, by)?;
        let reason = line(reason, "reason", LONGEST_REASON)?;
        let bout = self.bout_mut(key)?;
        if bout.dispute.is_some() {
            return Err(Refusal::Disputed(key));
        }
        if bout.outcome.is_none() && bout.reports.is_empty() {
            return Err(Refusal::NothingReported(key));
        }
        bout.accept_at = None;
        bout.dispute = Some(Dispute { by, at, reason });
        Ok(())
    }

    fn resolve(&mut self, key: Key, verdict: &Verdict, by: By, at: At) -> Result<(), Refusal> {
        only_organizers(by)?;
        let draws = self.has_draws(key);
        let bout = self.bout_mut(key)?;
        let verdict = checked(verdict, bout.best_of, draws)?;
        if bout.dispute.is_none() {
            return Err(Refusal::NotDisputed(key));
        }
        decide(bout, Report { by, at, verdict });
        Ok(())
    }

    fn reset(&mut self, key: Key, by: By) -> Result<(), Refusal> {
        only_organizers(by)?;
        let bout = self.bout_mut(key)?;
        bout.clear();
        Ok(())
    }

    fn plan(&mut self, key: Key, plan: &Plan, by: By) -> Result<(), Refusal> {
        only_staff(by)?;
        let pool = &self.settings.map_pool;
        if let Some(map) = &plan.map {
            if !is_line(map, LONGEST_MAP) {
                return Err(Refusal::invalid("map", "1 to 128 characters, without control characters"));
            }
            if !pool.is_empty() && !pool.contains(map) {
                return Err(Refusal::invalid("map", "not in the map pool"));
            }
        }
        if plan.stream_url.as_deref().is_some_and(|address| !is_web_address(address)) {
            return Err(Refusal::invalid(
                "stream_url",
                "an https:// or http:// address of at most 500 characters",
            ));
        }
        let bout = self.bout_mut(key)?;
        bout.plan = plan.clone();
        Ok(())
    }

    fn start(&mut self, key: Key, by: By, at: At) -> Result<(), Refusal> {
        self.must_have_a_say_or_be_server(key, by)?;
        let bout = self.open_bout(key)?;
        bout.started_at = bout.started_at.or(Some(at));
        Ok(())
    }

    fn veto(&mut self, key: Key, map: &str, by: By) -> Result<(), Refusal> {
        self.must_have_a_say(key, by)?;
        let pool = self.settings.map_pool.clone();
        let by_hand = self.settings.options.veto.clone();
        let bout = self.open_bout(key)?;
        let best_of = usize::from(bout.best_of);
        if pool.len() <= best_of {
            return Err(Refusal::NoVeto("the map pool has no more maps than are played"));
        }
        let most_bans = pool.len() - best_of;
        let mut steps = by_hand.unwrap_or_else(|| {
            [VetoStep::Ban1, VetoStep::Ban2].into_iter().cycle().take(most_bans).collect()
        });
        // An order that was made for shorter matches goes on without the bans that leave too few maps.
        let mut bans = 0;
        steps.retain(|step| {
            let is_ban = matches!(step, VetoStep::Ban1 | VetoStep::Ban2);
            bans += usize::from(is_ban);
            !is_ban || bans <= most_bans
        });
        let step = *steps.get(bout.vetoes.len()).ok_or(Refusal::NoVeto("all maps are chosen"))?;
        let (side, banned) = match step {
            VetoStep::Ban1 => (Side::One, true),
            VetoStep::Ban2 => (Side::Two, true),
            VetoStep::Pick1 => (Side::One, false),
            VetoStep::Pick2 => (Side::Two, false),
        };
        if let By::Captain(_, entrant) = by
            && bout.side_of(entrant) != Some(side)
        {
            return Err(Refusal::NotYourTurn);
        }
        let left = |map: &str| bout.vetoes.iter().all(|choice| choice.map != map);
        if !pool.iter().any(|other| other == map) || !left(map) {
            return Err(Refusal::invalid("map", "not one of the maps that are left"));
        }
        bout.vetoes.push(VetoChoice { side: Some(side), banned, map: map.to_owned() });
        if bout.vetoes.len() == steps.len() {
            let rest: Vec<String> =
                pool.into_iter().filter(|map| bout.vetoes.iter().all(|choice| choice.map != *map)).collect();
            bout.vetoes.extend(rest.into_iter().map(|map| VetoChoice { side: None, banned: false, map }));
        }
        Ok(())
    }

    fn correct(&mut self, key: Key, verdict: &Verdict, by: By, at: At) -> Result<(), Refusal> {
        only_organizers(by)?;
        let draws = self.has_draws(key);
        let bout = self.bout_mut(key)?;
        let verdict = checked(verdict, bout.best_of, draws)?;
        if bout.outcome.is_none() {
            return Err(Refusal::NotDecided(key));
        }
        decide(bout, Report { by, at, verdict });
        Ok(())
    }
}

fn decide(bout: &mut Bout, report: Report) {
    bout.started_at = bout.started_at.or(Some(report.at));
    bout.outcome = Some(report);
    bout.accept_at = None;
    bout.dispute = None;
}

/// Whether two reports are of the same side, or both of servers.
fn same_witness(one: By, two: By) -> bool {
    match (one, two) {
        (By::Captain(_, one), By::Captain(_, two)) => one == two,
        (By::Server(_), By::Server(_)) => true,
        _ => false,
    }
}

/// A verdict that a match of so many games can have: with the winner that follows from the scores.
fn checked(verdict: &Verdict, best_of: u8, draws: bool) -> Result<Verdict, Refusal> {
    let [one, two] = verdict.scores;
    let mut verdict = verdict.clone();
    if one.max(two) > GREATEST_SCORE {
        return Err(Refusal::invalid("score1", "no score is that great"));
    }
    checked_games(&verdict.games, best_of)?;
    if let Some(forfeit) = verdict.forfeit {
        let winner = match forfeit {
            Forfeit::One => Some(Side::Two),
            Forfeit::Two => Some(Side::One),
            Forfeit::Both => None,
        };
        if verdict.winner.is_some() && verdict.winner != winner {
            return Err(Refusal::invalid("winner", "who forfeits does not win"));
        }
        verdict.winner = winner;
        return Ok(verdict);
    }
    let ahead = leader(one, two);
    if ahead.is_some() && verdict.winner.is_some() && verdict.winner != ahead {
        return Err(Refusal::invalid("winner", "not who has the greater score"));
    }
    verdict.winner = verdict.winner.or(ahead);
    if verdict.winner.is_none() && !draws {
        return Err(Refusal::invalid("winner", "a draw can't be in this format: say who won"));
    }
    if best_of > 1 {
        let need = u32::from(best_of).div_ceil(2);
        let enough = one.max(two) == need && one != two;
        let drawn = draws && one == two && one < need;
        if !enough && !drawn {
            let why = format!("games won: best of {best_of} takes {need}, and one side has fewer");
            return Err(Refusal::invalid("score1", why));
        }
        // Not all games have to be told, but none that was not won.
        let [first, second] = games_won(&verdict.games);
        if first > one || second > two {
            return Err(Refusal::invalid("games", "a side won more of them than the score says"));
        }
    } else if verdict.games.iter().any(|game| game.winner().is_some_and(|won| verdict.winner != Some(won))) {
        return Err(Refusal::invalid("games", "the game was won by the other side"));
    }
    Ok(verdict)
}

/// Games as they can be: a drawn one is played again and counts for nobody.
fn checked_games(games: &[Game], best_of: u8) -> Result<(), Refusal> {
    let decided: u32 = games_won(games).iter().sum();
    if decided > u32::from(best_of) || games.len() > MOST_GAMES {
        return Err(Refusal::invalid("games", format!("best of {best_of} has no more games than that")));
    }
    if games.iter().any(|game| game.score1.max(game.score2) > GREATEST_SCORE) {
        return Err(Refusal::invalid("games", "no score is that great"));
    }
    if games.iter().any(|game| game.map.as_deref().is_some_and(|map| !is_line(map, LONGEST_MAP))) {
        return Err(Refusal::invalid("games", "a map has 1 to 128 characters, without control characters"));
    }
    Ok(())
}

/// By each side.
fn games_won(games: &[Game]) -> [u32; 2] {
    let won = |side| games.iter().filter(|game| game.winner() == Some(side)).count();
    [won(Side::One), won(Side::Two)].map(|won| u32::try_from(won).unwrap_or(u32::MAX))
}

/// A rating that JSON gives back as it is.
fn millionths(rating: f64) -> f64 {
    (rating.clamp(-1e6, 1e6) * 1e6).round() / 1e6
}

fn is_web_address(address: &str) -> bool {
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
    rest.is_some_and(|rest| !rest.is_empty())
        && address.len() <= LONGEST_ADDRESS
        && !address.chars().any(|character| character.is_control() || character.is_whitespace())
}

fn count<'a>(entrants: impl Iterator<Item = &'a Entrant>) -> u32 {
    u32::try_from(entrants.count()).unwrap_or(u32::MAX)
}

fn line(text: &str, field: &'static str, longest: usize) -> Result<String, Refusal> {
    let text = text.trim();
    if !(1..=longest).contains(&text.chars().count()) || text.chars().any(char::is_control) {
        return Err(Refusal::invalid(
            field,
            format!("1 to {longest} characters, without control characters"),
        ));
    }
    Ok(text.to_owned())
}

fn only_organizers(by: By) -> Result<(), Refusal> {
    if by.is_organizer() { Ok(()) } else { Err(Refusal::NotAllowed("an organizer of the tournament")) }
}

fn only_staff(by: By) -> Result<(), Refusal> {
    if by.is_staff() {
        Ok(())
    } else {
        Err(Refusal::NotAllowed("a referee or an organizer of the tournament"))
    }
}

fn own_or_organizers(by: By, entrant: EntrantId) -> Result<(), Refusal> {
    match by {
        By::Captain(_, own) if own == entrant => Ok(()),
        By::Organizer(_) => Ok(()),
        _ => Err(Refusal::NotAllowed("the participant or an organizer of the tournament")),
    }
}

fn own_or_staff(by: By, entrant: EntrantId) -> Result<(), Refusal> {
    if by.is_staff() { Ok(()) } else { own_or_organizers(by, entrant) }
}
