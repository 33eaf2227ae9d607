//! Doing a command: settings, steps of the status, and what time does. Entrants and matches have files of their own.

use super::At;
use super::bout::{By, Report};
use super::change::Change;
use super::command::{Command, Refusal};
use super::entering::millionths;
use super::entrant::{Entrant, EntrantId, Place};
use super::key::Key;
use super::playing::decide;
use super::settings::Settings;
use super::state::{Status, Step, Tournament};

pub(super) const LONGEST_REASON: usize = 500;

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
            next.held_up = None;
        }
        if by.is_staff() {
            next.clock_is_held = false;
        }
        let entrant = next.perform(command, by, at)?;
        let fallen = next.settle();
        let changes = self.changes_to(&next);
        Ok(Applied { tournament: next, changes, fallen, entrant })
    }

    /// Takes back the last mutation, which made `changes`. What time brought about stays undone until staff acts. Numbers of
    /// entrants are not given again.
    pub fn undo(&self, changes: &[Change], was_by: By) -> Applied {
        let mut next = self.clone();
        next.revert(changes);
        next.last_entrant = next.last_entrant.max(self.last_entrant);
        next.clock_is_held |= was_by == By::Clock;
        let changes = self.changes_to(&next);
        Applied { tournament: next, changes, fallen: Vec::new(), entrant: None }
    }

    fn perform(&mut self, command: &Command, by: By, at: At) -> Result<Option<EntrantId>, Refusal> {
        match command {
            Command::Register { holder, name, player_id, rating } => {
                let id = self.register(*holder, name, by, at)?;
                let is_same = |entrant: &&Entrant| {
                    entrant.id != id && entrant.has_stayed() && entrant.player_id == *player_id
                };
                if let Some(same) = self.entrants.values().find(is_same).filter(|_| player_id.is_some()) {
                    return Err(Refusal::AlreadyEntered(same.id));
                }
                if let Some(entrant) = self.entrants.get_mut(&id) {
                    (entrant.player_id, entrant.rating) =
                        (player_id.clone(), rating.filter(|rating| rating.is_finite()).map(millionths));
                }
                return Ok(Some(id));
            }
            Command::Update { settings, fields } => {
                let settings = self.settings.with(settings, fields.as_ref());
                self.update(&settings, by)?;
            }
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
            Command::Plan { key, plan, fields } => self.plan(*key, plan, fields.as_ref(), by)?,
            Command::Start { key } => self.start(*key, by, at)?,
            Command::Veto { key, map } => self.veto(*key, map, by)?,
            Command::Correct { key, verdict } => self.correct(*key, verdict, by, at)?,
            Command::Forget { user } => self.forget(*user, by)?,
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
        let texts_only = Settings {
            name: settings.name.clone(),
            description: settings.description.clone(),
            ..old.clone()
        };
        if self.status >= Status::Completed && *settings != texts_only {
            return Err(Refusal::Fixed("what a finished tournament was played by"));
        }
        let mut options = settings.options.clone();
        (options.auto_accept_minutes, options.allow_rematches) =
            (old.options.auto_accept_minutes, old.options.allow_rematches);
        let changed = [
            ("format", old.format != settings.format),
            ("max_participants", old.max_participants != settings.max_participants),
            ("min_participants", old.min_participants != settings.min_participants),
            ("best_of", old.best_of != settings.best_of),
            ("seeding", old.seeding != settings.seeding),
            ("options", old.options != options),
            ("map_pool", old.map_pool != settings.map_pool),
            ("team_size", old.team_size != settings.team_size),
        ];
        if let Some((field, _)) =
            changed.into_iter().find(|(name, changed)| *changed && !self.may_change(name))
        {
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

    /// Whether a setting can still be another one: by its name in JSON, those of `options` as `options.groups`.
    pub fn may_change(&self, name: &str) -> bool {
        let has_begun = self.status.has_begun();
        match name {
            "name" | "description" => true,
            _ if self.status >= Status::Completed => false,
            "options.auto_accept_minutes" | "options.allow_rematches" => true,
            "format" | "max_participants" | "min_participants" | "best_of" | "seeding" => !has_begun,
            "map_pool" => !(has_begun && self.is_in_veto()),
            "team_size" => self.entrants.values().all(|entrant| entrant.place == Place::Withdrawn),
            name => !(has_begun && name.starts_with("options")),
        }
    }

    /// Whether maps of a match that is not decided were banned or picked.
    fn is_in_veto(&self) -> bool {
        self.bouts.values().any(|bout| bout.outcome.is_none() && !bout.vetoes.is_empty())
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
                self.step_to(to, at);
                Ok(())
            }
        }
    }

    fn step_to(&mut self, status: Status, at: At) {
        self.status = status;
        if status == Status::Checkin {
            self.checkin_since = Some(at);
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
                Step::To(status) => self.step_to(status, at),
            }
        }
    }

    /// Whether who does not check in is dropped: not by a check-in without a window, opened by hand, in which nobody did who
    /// had to.
    pub(super) fn checkin_is_meant(&self) -> bool {
        let has_checked_in =
            |entrant: &Entrant| entrant.checked_in && !came_during(self.checkin_since, entrant);
        // Who has left since then had been asked, too.
        let mut asked = self.entrants.values().filter(|entrant| entrant.place != Place::Waiting);
        self.status == Status::Checkin && (self.settings.times.has_checkin() || asked.any(has_checked_in))
    }

    fn end_checkin(&mut self, at: At) {
        if self.checkin_is_over {
            return;
        }
        self.checkin_is_over = true;
        let since = self.checkin_since;
        let is_dropped =
            |entrant: &&mut Entrant| entrant.is_in() && !entrant.checked_in && !came_during(since, entrant);
        for entrant in self.entrants.values_mut().filter(is_dropped) {
            (entrant.place, entrant.left_at) = (Place::NoShow, Some(at));
        }
        self.move_up();
    }

    /// Gives free places to those who wait, the first of them first.
    pub(super) fn move_up(&mut self) {
        let free = self.settings.max_participants.saturating_sub(count(self.field()));
        let next: Vec<EntrantId> = self.waiting().take(free as usize).map(|entrant| entrant.id).collect();
        for id in next {
            if let Some(entrant) = self.entrants.get_mut(&id) {
                entrant.place = Place::Registered;
            }
        }
    }
}

/// Whether somebody was entered while a check-in ran that began then: who is, was there.
fn came_during(checkin_since: Option<At>, entrant: &Entrant) -> bool {
    checkin_since.is_some_and(|since| entrant.registered_at > since)
}

pub(super) fn count<'a>(entrants: impl Iterator<Item = &'a Entrant>) -> u32 {
    u32::try_from(entrants.count()).unwrap_or(u32::MAX)
}

pub(super) fn line(text: &str, field: &'static str, longest: usize) -> Result<String, Refusal> {
    let text = text.trim();
    if !(1..=longest).contains(&text.chars().count()) || text.chars().any(char::is_control) {
        return Err(Refusal::invalid(
            field,
            format!("1 to {longest} characters, without control characters"),
        ));
    }
    Ok(text.to_owned())
}

pub(super) fn only_organizers(by: By) -> Result<(), Refusal> {
    if by.is_organizer() { Ok(()) } else { Err(Refusal::NotAllowed("an organizer of the tournament")) }
}

pub(super) fn only_staff(by: By) -> Result<(), Refusal> {
    if by.is_staff() {
        Ok(())
    } else {
        Err(Refusal::NotAllowed("a referee or an organizer of the tournament"))
    }
}

pub(super) fn own_or_organizers(by: By, entrant: EntrantId) -> Result<(), Refusal> {
    match by {
        By::Captain(_, own) if own == entrant => Ok(()),
        By::Organizer(_) => Ok(()),
        _ => Err(Refusal::NotAllowed("the participant or an organizer of the tournament")),
    }
}

pub(super) fn own_or_staff(by: By, entrant: EntrantId) -> Result<(), Refusal> {
    if by.is_staff() { Ok(()) } else { own_or_organizers(by, entrant) }
}
