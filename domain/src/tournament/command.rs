//! What can be done to a tournament, and why it can't be.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::bout::{Game, Plan, Status as BoutStatus, Verdict};
use super::entrant::{EntrantId, Holder};
use super::key::Key;
use super::settings::{Mistake, Settings};
use super::state::Status;

/// One mutation. It is all that has to be kept of it: applied in order to the same draft, the same commands give the
/// same tournament.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    Update {
        settings: Box<Settings>,
        /// The settings that are meant, by their names in JSON; all where none is named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fields: Option<BTreeSet<String>>,
    },
    /// By hand. `random` seeds what is drawn if this begins the play.
    SetStatus {
        to: Status,
        random: u64,
    },
    /// Does what is due by now.
    Clock {
        random: u64,
    },
    Register {
        holder: Holder,
        name: String,
        player_id: Option<String>,
        rating: Option<f64>,
    },
    /// Before the start the place becomes free, afterwards the rest is forfeited.
    Withdraw {
        entrant: EntrantId,
    },
    Disqualify {
        entrant: EntrantId,
        reason: String,
    },
    CheckIn {
        entrant: EntrantId,
    },
    /// Seeds by hand, from the first; who is not named comes after them.
    Seed {
        order: Vec<EntrantId>,
    },
    /// Pairs the next round of Swiss.
    NextRound {
        allow_rematches: bool,
    },
    Report {
        key: Key,
        verdict: Verdict,
    },
    /// One game of a match, by the server.
    ReportGame {
        key: Key,
        game: Game,
    },
    /// The reported result holds.
    Confirm {
        key: Key,
    },
    Dispute {
        key: Key,
        reason: String,
    },
    Resolve {
        key: Key,
        verdict: Verdict,
    },
    /// As if nothing had been played or said.
    Reset {
        key: Key,
    },
    Plan {
        key: Key,
        plan: Plan,
        /// What of it is meant, by names in JSON; all where nothing is named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fields: Option<BTreeSet<String>>,
    },
    Start {
        key: Key,
    },
    /// Bans or picks the next map.
    Veto {
        key: Key,
        map: String,
    },
    Correct {
        key: Key,
        verdict: Verdict,
    },
    /// A user's account is gone, and its name with it: places of theirs are [`NAME_OF_FORGOTTEN`]'s. Nobody asks for it here,
    /// and nobody takes it back.
    Forget {
        user: i64,
    },
}

/// What is shown instead of the name of somebody whose account is gone.
pub const NAME_OF_FORGOTTEN: &str = "deleted user";

impl Command {
    /// The match it is about.
    pub fn key(&self) -> Option<Key> {
        match self {
            Command::Report { key, .. }
            | Command::ReportGame { key, .. }
            | Command::Confirm { key }
            | Command::Dispute { key, .. }
            | Command::Resolve { key, .. }
            | Command::Reset { key }
            | Command::Plan { key, .. }
            | Command::Start { key }
            | Command::Veto { key, .. }
            | Command::Correct { key, .. } => Some(*key),
            _ => None,
        }
    }

    /// Whether two are one wish, said twice: what is drawn or looked up anew each time may differ.
    pub fn is_again(&self, other: &Command) -> bool {
        match (self, other) {
            (Command::SetStatus { to, .. }, Command::SetStatus { to: other_to, .. }) => to == other_to,
            (
                Command::Register { holder, name, .. },
                Command::Register { holder: other_holder, name: other_name, .. },
            ) => holder == other_holder && name == other_name,
            (
                Command::Update { settings, fields },
                Command::Update { settings: other_settings, fields: other_fields },
            ) => fields == other_fields && **settings == settings.with(other_settings, fields.as_ref()),
            (
                Command::Plan { key, plan, fields },
                Command::Plan { key: other_key, plan: other_plan, fields: other_fields },
            ) => {
                let with_its_token = Plan { token_hash: plan.token_hash.clone(), ..other_plan.clone() };
                key == other_key
                    && fields == other_fields
                    && *plan == plan.with(&with_its_token, fields.as_ref())
            }
            _ => self == other,
        }
    }

    /// As in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Command::Update { .. } => "update",
            Command::SetStatus { .. } => "set_status",
            Command::Clock { .. } => "clock",
            Command::Register { .. } => "register",
            Command::Withdraw { .. } => "withdraw",
            Command::Disqualify { .. } => "disqualify",
            Command::CheckIn { .. } => "check_in",
            Command::Seed { .. } => "seed",
            Command::NextRound { .. } => "next_round",
            Command::Report { .. } => "report",
            Command::ReportGame { .. } => "report_game",
            Command::Confirm { .. } => "confirm",
            Command::Dispute { .. } => "dispute",
            Command::Resolve { .. } => "resolve",
            Command::Reset { .. } => "reset",
            Command::Plan { .. } => "plan",
            Command::Start { .. } => "start",
            Command::Veto { .. } => "veto",
            Command::Correct { .. } => "correct",
            Command::Forget { .. } => "forget",
        }
    }
}

/// Why a mutation can't be. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("only {0} may do that")]
    NotAllowed(&'static str),
    #[error("there is no match {0} in this tournament")]
    UnknownMatch(Key),
    #[error("there is no participant {} in this tournament", .0.0)]
    UnknownEntrant(EntrantId),
    #[error("{}", .0.iter().map(|mistake| format!("{}: {}", mistake.field, mistake.why)).collect::<Vec<_>>().join("; "))]
    Invalid(Vec<Mistake>),
    #[error("the tournament is {}; this can be done while it is {needs}", status.name())]
    WrongStatus { status: Status, needs: &'static str },
    #[error("a tournament that is {} can't become {}{}", from.name(), to.name(), hint(next))]
    NoSuchStep { from: Status, to: Status, next: Option<Status> },
    #[error("{0} can't be changed any more")]
    Fixed(&'static str),
    #[error("{have} participants have a place, more than {allowed}")]
    TooManyEntrants { have: u32, allowed: u32 },
    #[error("{have} participants are too few, {need} are needed")]
    TooFewEntrants { have: u32, need: u32 },
    #[error("{advance} can't go on from groups of {smallest}")]
    TooFewAdvance { advance: usize, smallest: usize },
    #[error("there are matches left to play")]
    NotPlayed,
    #[error("has a place already")]
    AlreadyEntered(EntrantId),
    #[error("the participant has no place in the tournament any more")]
    HasLeft(EntrantId),
    #[error("is checked in already")]
    AlreadyCheckedIn(EntrantId),
    #[error("match {key} is {}", state_of(*status))]
    NotReady { key: Key, status: BoutStatus },
    #[error("match {0} has a bye: there is nothing to play")]
    HasBye(Key),
    #[error("the reset match is played only if the lower bracket's champion wins the grand final")]
    ResetNotDue,
    #[error("match {0} has a result: an organizer can correct it, a captain can dispute it")]
    AlreadyDecided(Key),
    #[error("match {0} was decided by a referee or an organizer, whose word is final")]
    Final(Key),
    #[error("match {0} has no result")]
    NotDecided(Key),
    #[error("match {0} is disputed: an organizer decides")]
    Disputed(Key),
    #[error("match {0} is not disputed")]
    NotDisputed(Key),
    #[error("nobody has reported match {0}")]
    NothingReported(Key),
    #[error("the other side confirms a report")]
    OwnReport(Key),
    #[error("this format has no Swiss rounds")]
    NotSwiss,
    #[error("the round is not played yet: {0} is open")]
    RoundIsOpen(Key),
    #[error("all rounds are played")]
    NoFurtherRound,
    #[error(
        "no round is left in which nobody meets the same opponent or has a bye again; rematches may be allowed"
    )]
    NoLegalRound,
    #[error("there is no veto: {0}")]
    NoVeto(&'static str),
    #[error("it is the other side's turn to choose a map")]
    NotYourTurn,
}

impl Refusal {
    /// Stable, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::NotAllowed(_) => "not_allowed",
            Refusal::UnknownMatch(_) => "unknown_match",
            Refusal::UnknownEntrant(_) => "unknown_participant",
            Refusal::Invalid(_) => "invalid",
            Refusal::WrongStatus { .. } => "wrong_status",
            Refusal::NoSuchStep { .. } => "no_such_step",
            Refusal::Fixed(_) => "fixed",
            Refusal::TooManyEntrants { .. } => "too_many_participants",
            Refusal::TooFewEntrants { .. } => "too_few_participants",
            Refusal::TooFewAdvance { .. } => "too_few_advance",
            Refusal::NotPlayed => "not_played",
            Refusal::AlreadyEntered(_) => "already_registered",
            Refusal::HasLeft(_) => "has_left",
            Refusal::AlreadyCheckedIn(_) => "already_checked_in",
            Refusal::NotReady { .. } => "match_not_ready",
            Refusal::HasBye(_) => "has_bye",
            Refusal::ResetNotDue => "reset_not_due",
            Refusal::AlreadyDecided(_) => "already_decided",
            Refusal::Final(_) => "final",
            Refusal::NotDecided(_) => "not_decided",
            Refusal::Disputed(_) => "disputed",
            Refusal::NotDisputed(_) => "not_disputed",
            Refusal::NothingReported(_) => "nothing_reported",
            Refusal::OwnReport(_) => "own_report",
            Refusal::NotSwiss => "not_swiss",
            Refusal::RoundIsOpen(_) => "round_is_open",
            Refusal::NoFurtherRound => "no_further_round",
            Refusal::NoLegalRound => "no_legal_round",
            Refusal::NoVeto(_) => "no_veto",
            Refusal::NotYourTurn => "not_your_turn",
        }
    }

    pub(super) fn invalid(field: &'static str, why: impl Into<String>) -> Refusal {
        Refusal::Invalid(vec![Mistake { field, why: why.into() }])
    }
}

fn hint(next: &Option<Status>) -> String {
    next.map(|next| format!("; next comes {}", next.name())).unwrap_or_default()
}

fn state_of(status: BoutStatus) -> &'static str {
    match status {
        BoutStatus::Locked => "locked: its sides are not known yet",
        BoutStatus::Waiting => "waiting for its second side",
        BoutStatus::Ready => "ready, but has not begun",
        BoutStatus::Running => "running",
        BoutStatus::Completed => "completed",
    }
}
