//! Taking a place, checking in, leaving, seeds.

use super::At;
use super::apply::{LONGEST_REASON, count, line, only_organizers, own_or_organizers, own_or_staff};
use super::bout::By;
use super::command::{NAME_OF_FORGOTTEN, Refusal};
use super::entrant::{Entrant, EntrantId, Holder, Place};
use super::state::{Status, Tournament};
use crate::name::can_be_seen;

const LONGEST_NAME: usize = 64;

impl Tournament {
    pub(super) fn register(
        &mut self,
        holder: Holder,
        name: &str,
        by: By,
        at: At,
    ) -> Result<EntrantId, Refusal> {
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
        if !can_be_seen(&name) {
            return Err(Refusal::invalid("name", "something that can be seen"));
        }
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

    /// Nobody but the service itself, whose clock knows no reasons, takes names away.
    pub(super) fn forget(&mut self, user: i64, by: By) -> Result<(), Refusal> {
        if by != By::Clock {
            return Err(Refusal::NotAllowed("the service itself"));
        }
        for entrant in self.entrants.values_mut().filter(|entrant| entrant.holder == Holder::User(user)) {
            entrant.name = NAME_OF_FORGOTTEN.to_owned();
        }
        Ok(())
    }

    fn entrant_mut(&mut self, id: EntrantId) -> Result<&mut Entrant, Refusal> {
        let entrant = self.entrants.get_mut(&id).ok_or(Refusal::UnknownEntrant(id))?;
        match entrant.place {
            Place::Registered | Place::Waiting => Ok(entrant),
            _ => Err(Refusal::HasLeft(id)),
        }
    }

    pub(super) fn withdraw(&mut self, id: EntrantId, by: By, at: At) -> Result<(), Refusal> {
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

    pub(super) fn disqualify(&mut self, id: EntrantId, reason: &str, by: By, at: At) -> Result<(), Refusal> {
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

    pub(super) fn check_in(&mut self, id: EntrantId, by: By) -> Result<(), Refusal> {
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

    pub(super) fn seed(&mut self, order: &[EntrantId], by: By) -> Result<(), Refusal> {
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
}

/// A rating that JSON gives back as it is.
pub(super) fn millionths(rating: f64) -> f64 {
    (rating.clamp(-1e6, 1e6) * 1e6).round() / 1e6
}
