//! What all pages of one tournament show, in words.

use actix_web::{HttpRequest, HttpResponse};
use chrono::DateTime;
use mohaa_domain::tournament::{
    BoutStatus, By, EntrantId, Format, Key, Occupant, Options, Ordering, Place, SeedBy, Side, Status, Step,
    TieBreak, Tournament,
};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::access::Anyone;
use crate::auth::Identity;
use crate::http::ApiError;
use crate::pages::{Form, Pages, text};
use crate::tournaments::{Current, TournamentAnswer, Tournaments};

/// A tournament, and as whom it is looked at.
pub struct Seen {
    pub current: Current,
    pub viewer: Option<Identity>,
    /// None: somebody who is not signed in.
    pub by: Option<By>,
    /// The participant that the viewer is or speaks for.
    pub own: Option<EntrantId>,
}

impl Seen {
    /// # Errors
    /// 404 `unknown_tournament`; 503.
    pub async fn of(tournaments: &Tournaments, viewer: Anyone, id: Uuid) -> Result<Self, ApiError> {
        let Some(identity) = viewer.0 else {
            let current = tournaments.read(id).await?;
            return Ok(Seen { current, viewer: None, by: None, own: None });
        };
        let (current, by) = tournaments.seen_by(id, identity).await?;
        let own = tournaments.own_entrant(&current, identity.user_id).await?;
        Ok(Seen { current, viewer: Some(identity), by: Some(by), own })
    }

    pub fn is_staff(&self) -> bool {
        self.by.is_some_and(|by| by.is_staff())
    }

    pub fn is_organizer(&self) -> bool {
        self.by.is_some_and(|by| by.is_organizer())
    }

    /// The side of a match that the viewer plays or speaks for.
    pub fn side_in(&self, key: Key) -> Option<Side> {
        let bout = self.current.tournament.bouts.get(&key)?;
        self.own.and_then(|own| bout.side_of(own))
    }

    /// The viewer's next match, and against whom.
    pub fn own_match(&self) -> Value {
        let tournament = &self.current.tournament;
        let is_open = |bout: &&mohaa_domain::tournament::Bout| {
            bout.status != BoutStatus::Completed && self.own.is_some_and(|own| bout.side_of(own).is_some())
        };
        let Some(bout) = tournament.existing().find(is_open) else { return Value::Null };
        let side = self.own.and_then(|own| bout.side_of(own));
        let other = side.map(|side| bout.occupants[side.other().index()]);
        let opponent = match other {
            Some(Occupant::Entrant(id)) => tournament.entrants.get(&id).map(|entrant| entrant.name.clone()),
            _ => None,
        };
        json!({ "key": bout.key, "opponent": opponent, "is_ready": bout.status >= BoutStatus::Ready,
            "scheduled_at": bout.plan.scheduled_at.and_then(DateTime::from_timestamp_millis) })
    }

    /// A page of this tournament; `title` is what stands before its name.
    pub async fn show(
        &self,
        pages: &Pages,
        request: &HttpRequest,
        template: &str,
        title: Option<&str>,
        mut context: Value,
    ) -> Result<HttpResponse, ApiError> {
        let name = text::plain_name(&self.current.tournament.settings.name);
        let title = title.map_or_else(|| name.clone(), |title| format!("{title}, {name}"));
        self.add_to(&mut context)?;
        let Some(viewer) = self.viewer else {
            for of_form in ["csrf", "notice", "was_done"] {
                context[of_form] = Value::Null;
            }
            return pages.page(request, Anyone(None), template, &title, &context).await;
        };
        pages.form(Form { request, viewer: Some(viewer), template, title: &title, context }).await
    }

    /// What the head of each page says.
    pub fn add_to(&self, context: &mut Value) -> Result<(), ApiError> {
        let tournament = &self.current.tournament;
        let own = self.own.and_then(|own| tournament.entrants.get(&own));
        let mut shown = plain(&TournamentAnswer::from(&self.current))?;
        shown["status_word"] = status_word(tournament.status).into();
        shown["format_word"] = format_word(tournament.settings.format).into();
        shown["has_tables"] = (!tournament.tables().is_empty()).into();
        shown["has_begun"] = tournament.status.has_begun().into();
        context["t"] = shown;
        context["me"] = json!({
            "is_signed_in": self.viewer.is_some(),
            "is_staff": self.is_staff(),
            "is_organizer": self.is_organizer(),
            "own": own.map(|own| json!({
                "participant_id": own.id.0, "name": own.name, "status": own.place, "checked_in": own.checked_in,
                "seed": own.seed, "is_in": matches!(own.place, Place::Registered | Place::Waiting),
            })),
        });
        Ok(())
    }
}

/// An answer as a template takes it.
pub fn plain<T: Serialize>(answer: &T) -> Result<Value, ApiError> {
    serde_json::to_value(answer).map_err(ApiError::internal)
}

/// A page of the list, with words.
pub fn listed<T: Serialize>(list: &T) -> Result<Value, ApiError> {
    let mut list = plain(list)?;
    for one in list["tournaments"].as_array_mut().into_iter().flatten() {
        let status = serde_json::from_value(one["status"].clone()).map(status_word);
        let format = serde_json::from_value(one["format"].clone()).map(format_word);
        one["status_word"] = status.unwrap_or_default().into();
        one["format_word"] = format.unwrap_or_default().into();
    }
    Ok(list)
}

pub fn status_word(status: Status) -> &'static str {
    match status {
        Status::Draft => "Draft",
        Status::RegistrationOpen => "Registration open",
        Status::RegistrationClosed => "Registration closed",
        Status::Checkin => "Check-in",
        Status::InProgress => "Under way",
        Status::Completed => "Over",
        Status::Cancelled => "Cancelled",
    }
}

pub fn format_word(format: Format) -> &'static str {
    match format {
        Format::SingleElimination => "Single elimination",
        Format::DoubleElimination => "Double elimination",
        Format::RoundRobin => "Round robin",
        Format::Swiss => "Swiss",
        Format::GroupStage => "Groups and knockout",
    }
}

/// For the filter of the list. Drafts are found by those who ask for them by address, who are then told what they look at.
pub fn statuses(asked: Option<&str>) -> Value {
    let mut all = vec![
        Status::RegistrationOpen,
        Status::RegistrationClosed,
        Status::Checkin,
        Status::InProgress,
        Status::Completed,
        Status::Cancelled,
    ];
    if asked == Some(Status::Draft.name()) {
        all.insert(0, Status::Draft);
    }
    all.into_iter().map(|status| json!({ "value": status, "label": status_word(status) })).collect()
}

pub const FORMATS: [Format; 5] = [
    Format::SingleElimination,
    Format::DoubleElimination,
    Format::RoundRobin,
    Format::Swiss,
    Format::GroupStage,
];

pub fn formats() -> Value {
    FORMATS.into_iter().map(|format| json!({ "value": format, "label": format_word(format) })).collect()
}

pub fn tie_break_word(tie_break: TieBreak) -> &'static str {
    match tie_break {
        TieBreak::Points => "Points",
        TieBreak::HeadToHead => "Head to head",
        TieBreak::Buchholz => "Buchholz",
        TieBreak::BuchholzCut1 => "Buchholz cut 1",
        TieBreak::MedianBuchholz => "Median Buchholz",
        TieBreak::SonnebornBerger => "Sonneborn-Berger",
        TieBreak::Progressive => "Progressive",
        TieBreak::Wins => "Wins",
        TieBreak::ScoreDiff => "Score difference",
        TieBreak::ScoreFor => "Score for",
        TieBreak::Rating => "Rating",
        TieBreak::DrawOfLots => "Lots",
    }
}

/// How a match's state is called.
pub fn bout_word(status: BoutStatus) -> &'static str {
    match status {
        BoutStatus::Locked | BoutStatus::Waiting => "Waits",
        BoutStatus::Ready => "Ready",
        BoutStatus::Running => "Under way",
        BoutStatus::Completed => "Over",
    }
}

/// What happens next by itself, and when; null where nothing does.
pub fn what_comes_next(tournament: &Tournament) -> Value {
    let (what, at) = match (tournament.status, tournament.next_step()) {
        (_, Some((at, Step::EndCheckin))) => ("Check-in ends", Some(at)),
        (_, Some((at, Step::To(status)))) => {
            let what = match status {
                Status::RegistrationOpen => "Registration opens",
                Status::RegistrationClosed => "Registration closes",
                Status::Checkin => "Check-in opens",
                _ => "It starts",
            };
            (what, Some(at))
        }
        (Status::Draft, None) => ("An organizer opens the registration", None),
        (Status::RegistrationOpen, None) => ("Registration closes when an organizer says so", None),
        (Status::RegistrationClosed | Status::Checkin, None) => ("It starts when an organizer says so", None),
        (Status::InProgress, None) => ("It is over as soon as all matches are played", None),
        (Status::Completed | Status::Cancelled, None) => return Value::Null,
    };
    json!({ "what": what, "at": at.and_then(DateTime::from_timestamp_millis), "held_up": tournament.held_up })
}

/// The steps that have a time.
pub fn times(tournament: &Tournament) -> Value {
    let times = &tournament.settings.times;
    let rows = [
        ("Registration opens", times.registration_start),
        ("Registration closes", times.registration_end),
        ("Check-in opens", times.checkin_opens()),
        ("Check-in ends", times.checkin_end),
        ("Start", times.start_time),
    ];
    rows.into_iter()
        .filter_map(|(what, at)| Some((what, DateTime::from_timestamp_millis(at?)?)))
        .map(|(what, at)| json!({ "what": what, "at": at }))
        .collect()
}

/// The rules that follow from the settings, as lines of a name and a value.
pub fn rules(tournament: &Tournament) -> Value {
    let settings = &tournament.settings;
    let options = &settings.options;
    let mut rules: Vec<(&str, String)> = vec![("Format", format_word(settings.format).to_owned())];
    rules.push(match settings.team_size {
        1 => ("Entrants", format!("players, {} to {}", settings.min_participants, settings.max_participants)),
        size => (
            "Entrants",
            format!("teams of {size}, {} to {}", settings.min_participants, settings.max_participants),
        ),
    });
    let mut best_of = format!("best of {}", settings.best_of);
    for (round, other) in &options.best_of_rounds {
        best_of.push_str(&format!(", {round} best of {other}"));
    }
    rules.push(("Matches", best_of));
    rules.extend(rules_of_format(settings.format, options));
    let seeds = match options.seed_by {
        SeedBy::Registration => "as they registered",
        SeedBy::Rating => "by rating",
        SeedBy::Random => "drawn at the start",
    };
    let order = match settings.seeding {
        Ordering::InnerOuter => "",
        _ => ", in another order than 1 against the last",
    };
    rules.push(("Seeds", format!("by hand, else {seeds}{order}")));
    if !tournament.tables().is_empty()
        || !matches!(settings.format, Format::SingleElimination | Format::DoubleElimination)
    {
        let default: &[TieBreak] =
            if tournament.has_swiss() { &TieBreak::SWISS } else { &TieBreak::ROUND_ROBIN };
        let chain = options.tie_breaks.as_deref().unwrap_or(default);
        let words: Vec<&str> = chain.iter().map(|tie_break| tie_break_word(*tie_break)).collect();
        rules.push(("Equals are told apart by", words.join(", ").to_lowercase()));
    }
    for (name, value, unit) in [
        ("Time limit", settings.timelimit, " min"),
        ("Frag limit", settings.fraglimit, ""),
        ("Round limit", settings.roundlimit, ""),
    ] {
        if let Some(value) = value {
            rules.push((name, format!("{value}{unit}")));
        }
    }
    if let Some(mode) = &settings.game_mode {
        rules.push(("Game mode", mode.clone()));
    }
    rules.push(match options.auto_accept_minutes.unwrap_or(15) {
        0 => ("Reports", "both captains, or a referee".to_owned()),
        minutes => ("Reports", format!("both captains; one alone holds after {minutes} minutes")),
    });
    rules.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

fn rules_of_format(format: Format, options: &Options) -> Vec<(&'static str, String)> {
    use mohaa_domain::tournament::{FirstStage, GrandFinal, Knockout};
    let mut rules = Vec::new();
    let has_double = format == Format::DoubleElimination
        || (format == Format::GroupStage && options.knockout == Knockout::DoubleElimination);
    let has_swiss =
        format == Format::Swiss || (format == Format::GroupStage && options.first_stage == FirstStage::Swiss);
    if format == Format::GroupStage {
        let first = if has_swiss { "Swiss" } else { "groups" };
        let then = if has_double { "double elimination" } else { "single elimination" };
        rules.push(("Stages", format!("{first}, then {then}")));
    }
    if has_double {
        let last = match options.grand_final.unwrap_or_default() {
            GrandFinal::None => "none: the upper bracket decides",
            GrandFinal::Simple => "one match",
            GrandFinal::Double => "whoever comes from below has to win twice",
        };
        rules.push(("Grand final", last.to_owned()));
    }
    if options.third_place && format != Format::DoubleElimination {
        rules.push(("Third place", "is played for".to_owned()));
    }
    if has_swiss {
        if let Some(rounds) = options.swiss_rounds {
            rules.push(("Swiss rounds", rounds.to_string()));
        }
        if let Some(wins) = options.swiss_wins {
            rules.push(("Through with", format!("{wins} wins")));
        }
        if let Some(losses) = options.swiss_losses {
            rules.push(("Out with", format!("{losses} losses")));
        }
    }
    if options.double_round_robin {
        rules.push(("Groups", "everybody meets everybody twice".to_owned()));
    }
    rules
}
