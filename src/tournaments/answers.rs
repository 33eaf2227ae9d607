//! Tournaments as JSON.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use mohaa_domain::tournament::{
    Bout, BoutStatus, Entrant, EntrantId, Forfeit, Format, Game, Holder, Key, Occupant, Outcome, Place,
    Report, Routes, Row, Section, Side, Source, TieBreak, Tournament, VetoChoice,
};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::body::SettingsBody;
use super::store::{match_id, time};

#[derive(Serialize, ToSchema)]
pub struct TournamentAnswer {
    pub id: Uuid,
    pub version: u64,
    #[schema(value_type = String, example = "in_progress")]
    pub status: &'static str,
    #[serde(flatten)]
    pub settings: SettingsBody,
    /// Who made it.
    pub owner_id: i32,
    pub owner_name: String,
    /// With a place in the field.
    pub participants: usize,
    pub waiting: usize,
    /// Why time could not move it on.
    pub held_up: Option<String>,
    pub created_at: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
pub struct ParticipantAnswer {
    pub participant_id: u32,
    pub name: String,
    pub user_id: Option<i64>,
    pub team_id: Option<Uuid>,
    pub player_id: Option<String>,
    /// registered, waiting, withdrawn, no_show, dropped_out or disqualified.
    #[schema(value_type = String)]
    pub status: Place,
    pub waitlisted: bool,
    pub checked_in: bool,
    pub seed: Option<u32>,
    /// What the skill was at least when the place was taken.
    pub rating: Option<f64>,
    /// Of a disqualification.
    pub reason: Option<String>,
    pub registered_at: Option<DateTime<Utc>>,
}

impl From<&Entrant> for ParticipantAnswer {
    fn from(entrant: &Entrant) -> Self {
        let (user_id, team_id) = match entrant.holder {
            Holder::User(user_id) => (Some(user_id), None),
            Holder::Team(team_id) => (None, Some(team_id)),
            Holder::Nobody => (None, None),
        };
        ParticipantAnswer {
            participant_id: entrant.id.0,
            name: entrant.name.clone(),
            user_id,
            team_id,
            player_id: entrant.player_id.clone(),
            status: entrant.place,
            waitlisted: entrant.place == Place::Waiting,
            checked_in: entrant.checked_in,
            seed: entrant.seed,
            rating: entrant.rating,
            reason: entrant.reason.clone(),
            registered_at: time(entrant.registered_at),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct SlotAnswer {
    /// seed: somebody; tbd: not known yet; bye: nobody will come.
    #[schema(value_type = String, example = "seed")]
    pub kind: &'static str,
    pub participant_id: Option<u32>,
    pub name: Option<String>,
    pub seed: Option<u32>,
    pub score: Option<u32>,
    /// win, loss or draw.
    #[schema(value_type = Option<String>)]
    pub result: Option<&'static str>,
    pub forfeit: bool,
    /// Where whoever stands here comes from.
    pub from: Option<SourceAnswer>,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum SourceAnswer {
    Match {
        #[serde(rename = "match")]
        key: String,
        /// winner or loser.
        result: &'static str,
    },
    Place {
        /// 0: the table of Swiss.
        group: u16,
        place: u16,
    },
}

#[derive(Serialize, ToSchema)]
pub struct ReportAnswer {
    /// organizer, referee, captain, server or clock.
    #[schema(value_type = String)]
    pub by: &'static str,
    pub participant_id: Option<u32>,
    pub at: Option<DateTime<Utc>>,
    pub score1: u32,
    pub score2: u32,
    pub winner: Option<u8>,
    #[schema(value_type = Option<Object>)]
    pub forfeit: Option<ForfeitBody>,
}

/// 1, 2 or "both".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForfeitBody(pub Forfeit);

impl Serialize for ForfeitBody {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Forfeit::One => serializer.serialize_u8(1),
            Forfeit::Two => serializer.serialize_u8(2),
            Forfeit::Both => serializer.serialize_str("both"),
        }
    }
}

#[derive(Serialize, ToSchema)]
pub struct DisputeAnswer {
    pub reason: String,
    pub at: Option<DateTime<Utc>>,
}

#[derive(Serialize, ToSchema)]
// The statistics have a match of their own.
#[schema(as = BracketMatch)]
pub struct MatchAnswer {
    pub id: Uuid,
    #[schema(example = "W1.3")]
    pub key: String,
    /// locked, waiting, ready, running or completed.
    #[schema(value_type = String)]
    pub status: BoutStatus,
    /// disputed, forfeited, cancelled, bye.
    #[schema(value_type = Vec<String>)]
    pub flags: Vec<&'static str>,
    pub best_of: u8,
    pub slots: [SlotAnswer; 2],
    /// Match and side: `W2.1/1`.
    pub winner_to: Option<String>,
    pub loser_to: Option<String>,
    #[schema(value_type = Vec<Object>)]
    pub games: Vec<Game>,
    #[schema(value_type = Vec<Object>)]
    pub vetoes: Vec<VetoChoice>,
    /// What was said by those whose word is not final.
    pub reports: Vec<ReportAnswer>,
    /// When the pending report holds if nobody answers.
    pub accepted_at: Option<DateTime<Utc>>,
    pub dispute: Option<DisputeAnswer>,
    pub server_id: Option<Uuid>,
    pub scheduled_at: Option<DateTime<Utc>>,
    pub map: Option<String>,
    pub stream_url: Option<String>,
    pub started_at: Option<DateTime<Utc>>,
    pub completed_at: Option<DateTime<Utc>>,
}

#[derive(Serialize, ToSchema)]
pub struct RoundAnswer {
    pub number: u16,
    pub name: String,
    pub best_of: u8,
    pub matches: Vec<MatchAnswer>,
}

#[derive(Serialize, ToSchema)]
pub struct GroupAnswer {
    pub name: String,
    pub rounds: Vec<RoundAnswer>,
}

#[derive(Serialize, ToSchema)]
pub struct StageAnswer {
    /// groups, swiss, single_elimination or double_elimination.
    #[schema(value_type = String)]
    pub kind: &'static str,
    pub groups: Vec<GroupAnswer>,
}

#[derive(Serialize, ToSchema)]
pub struct BracketAnswer {
    pub tournament_id: Uuid,
    pub version: u64,
    #[schema(value_type = String)]
    pub format: Format,
    pub stages: Vec<StageAnswer>,
}

/// Makes answers of one state.
pub struct View<'a> {
    pub id: Uuid,
    pub tournament: &'a Tournament,
    routes: BTreeMap<Key, Routes>,
}

impl<'a> View<'a> {
    pub fn new(id: Uuid, tournament: &'a Tournament) -> Self {
        Self { id, tournament, routes: tournament.routes() }
    }

    /// A match that exists; a reset match that is not due does not.
    pub fn find(&self, key: Key) -> Option<MatchAnswer> {
        let bout = self.tournament.bouts.get(&key)?;
        (key != Key::RESET || self.tournament.reset_is_due()).then(|| self.bout(bout))
    }

    pub fn bracket(&self, version: u64) -> BracketAnswer {
        BracketAnswer {
            tournament_id: self.id,
            version,
            format: self.tournament.settings.format,
            stages: self.stages(),
        }
    }

    fn stages(&self) -> Vec<StageAnswer> {
        let mut stages: Vec<StageAnswer> = Vec::new();
        let mut place: Option<(&'static str, Section, u16, u16)> = None;
        for bout in self.tournament.existing() {
            let Key { section, group, round, .. } = bout.key;
            let kind = match section {
                Section::Group => "groups",
                Section::Swiss => "swiss",
                Section::Single => "single_elimination",
                Section::Upper | Section::Lower | Section::GrandFinal => "double_elimination",
                // Comes last, and belongs to what came before.
                Section::Consolation => stages.last().map_or("single_elimination", |stage| stage.kind),
            };
            if stages.last().is_none_or(|stage| stage.kind != kind) {
                stages.push(StageAnswer { kind, groups: Vec::new() });
            }
            let Some(stage) = stages.last_mut() else { continue };
            let here = (kind, section, group, round);
            if place.is_none_or(|last| (last.0, last.1, last.2) != (kind, section, group)) {
                stage.groups.push(GroupAnswer { name: self.group_name(section, group), rounds: Vec::new() });
            }
            let Some(of_group) = stage.groups.last_mut() else { continue };
            if place != Some(here) {
                of_group.rounds.push(RoundAnswer {
                    number: round,
                    name: self.round_name(bout.key),
                    best_of: bout.best_of,
                    matches: Vec::new(),
                });
            }
            place = Some(here);
            if let Some(of_round) = of_group.rounds.last_mut() {
                of_round.matches.push(self.bout(bout));
            }
        }
        stages
    }

    fn group_name(&self, section: Section, group: u16) -> String {
        match section {
            Section::Group => format!("Group {}", group_letter(group)),
            Section::Swiss => "Swiss".to_owned(),
            Section::Single => "Bracket".to_owned(),
            Section::Upper => "Upper bracket".to_owned(),
            Section::Lower => "Lower bracket".to_owned(),
            Section::GrandFinal => "Grand final".to_owned(),
            Section::Consolation if self.is_double() => "Consolation".to_owned(),
            Section::Consolation => "Third place".to_owned(),
        }
    }

    fn is_double(&self) -> bool {
        self.tournament.section(Section::Upper).next().is_some()
    }

    pub fn round_name(&self, key: Key) -> String {
        let last = self.tournament.section(key.section).map(|bout| bout.key.round).max().unwrap_or(key.round);
        let from_end = last.saturating_sub(key.round);
        match (key.section, from_end) {
            (Section::Single, 0) => "Final".to_owned(),
            (Section::Single, 1) => "Semi-finals".to_owned(),
            (Section::Single, 2) => "Quarter-finals".to_owned(),
            (Section::Upper, 0) => "Upper final".to_owned(),
            (Section::Upper, 1) => "Upper semi-finals".to_owned(),
            (Section::Lower, 0) => "Lower final".to_owned(),
            (Section::Upper, _) => format!("Upper round {}", key.round),
            (Section::Lower, _) => format!("Lower round {}", key.round),
            (Section::GrandFinal, _) if key == Key::RESET => "Reset".to_owned(),
            (Section::GrandFinal, _) => "Grand final".to_owned(),
            (Section::Consolation, _) if self.is_double() => "Consolation final".to_owned(),
            (Section::Consolation, _) => "Third place".to_owned(),
            _ => format!("Round {}", key.round),
        }
    }

    pub fn bout(&self, bout: &Bout) -> MatchAnswer {
        let outcome = bout.outcome.as_ref();
        let mut flags = Vec::new();
        if bout.dispute.is_some() {
            flags.push("disputed");
        }
        if outcome.is_some_and(|outcome| outcome.verdict.forfeit.is_some()) {
            flags.push("forfeited");
        }
        if self.tournament.status.name() == "cancelled" {
            flags.push("cancelled");
        }
        if bout.has_bye() {
            flags.push("bye");
        }
        let routes = self.routes.get(&bout.key).copied().unwrap_or_default();
        let to = |route: Option<(Key, Side)>| route.map(|(key, side)| format!("{key}/{}", u8::from(side)));
        MatchAnswer {
            id: match_id(self.id, &bout.key.to_string()),
            key: bout.key.to_string(),
            status: bout.status,
            flags,
            best_of: bout.best_of,
            slots: Side::BOTH.map(|side| self.slot(bout, side)),
            winner_to: to(routes.winner),
            loser_to: to(routes.loser),
            games: outcome.map_or_else(|| bout.games.clone(), |outcome| outcome.verdict.games.clone()),
            vetoes: bout.vetoes.clone(),
            reports: bout.reports.iter().map(report).collect(),
            accepted_at: bout.accept_at.and_then(time),
            dispute: bout
                .dispute
                .as_ref()
                .map(|dispute| DisputeAnswer { reason: dispute.reason.clone(), at: time(dispute.at) }),
            server_id: bout.plan.server_id,
            scheduled_at: bout.plan.scheduled_at.and_then(time),
            map: bout.plan.map.clone(),
            stream_url: bout.plan.stream_url.clone(),
            started_at: bout.started_at.and_then(time),
            completed_at: outcome.and_then(|outcome| time(outcome.at)),
        }
    }

    fn slot(&self, bout: &Bout, side: Side) -> SlotAnswer {
        let occupant = bout.occupants[side.index()];
        let entrant = occupant.entrant().and_then(|id| self.tournament.entrants.get(&id));
        let verdict = bout.outcome.as_ref().map(|outcome| &outcome.verdict);
        let result = verdict.map(|verdict| match (verdict.winner, verdict.forfeit) {
            (Some(winner), _) if winner == side => "win",
            (None, None) => "draw",
            _ => "loss",
        });
        let forfeit = verdict.and_then(|verdict| verdict.forfeit).is_some_and(|forfeit| match forfeit {
            Forfeit::One => side == Side::One,
            Forfeit::Two => side == Side::Two,
            Forfeit::Both => true,
        });
        let from = match bout.sources[side.index()] {
            Source::Winner(key) => Some(SourceAnswer::Match { key: key.to_string(), result: "winner" }),
            Source::Loser(key) => Some(SourceAnswer::Match { key: key.to_string(), result: "loser" }),
            Source::Placed(group, place) => Some(SourceAnswer::Place { group, place }),
            Source::Seed(_) | Source::Bye | Source::Entrant(_) => None,
        };
        SlotAnswer {
            kind: match occupant {
                Occupant::Tbd => "tbd",
                Occupant::Bye => "bye",
                Occupant::Entrant(_) => "seed",
            },
            participant_id: entrant.map(|entrant| entrant.id.0),
            name: entrant.map(|entrant| entrant.name.clone()),
            seed: entrant.and_then(|entrant| entrant.seed),
            score: verdict.map(|verdict| verdict.scores[side.index()]),
            result,
            forfeit,
            from,
        }
    }
}

/// A, B, … Z, 27, 28, …
pub fn group_letter(group: u16) -> String {
    match u8::try_from(group) {
        Ok(group @ 1..=26) => char::from(b'A' + group - 1).to_string(),
        _ => group.to_string(),
    }
}

fn report(report: &Report) -> ReportAnswer {
    use mohaa_domain::tournament::By;
    let (by, participant) = match report.by {
        By::Organizer(_) => ("organizer", None),
        By::Referee(_) => ("referee", None),
        By::Captain(_, entrant) => ("captain", Some(entrant)),
        By::User(_) => ("user", None),
        By::Server(_) => ("server", None),
        By::Clock => ("clock", None),
    };
    let verdict = &report.verdict;
    ReportAnswer {
        by,
        participant_id: participant.map(|entrant| entrant.0),
        at: time(report.at),
        score1: verdict.scores[0],
        score2: verdict.scores[1],
        winner: verdict.winner.map(u8::from),
        forfeit: verdict.forfeit.map(ForfeitBody),
    }
}

/// One match behind the numbers of a row.
#[derive(Serialize, ToSchema)]
pub struct PlayedAnswer {
    pub key: String,
    /// Null: a bye.
    pub opponent_id: Option<u32>,
    /// win, draw, loss or bye.
    #[schema(value_type = String)]
    pub result: Outcome,
    pub score_for: u32,
    pub score_against: u32,
    pub points: f64,
    /// The opponent's points now.
    pub opponent_points: Option<f64>,
}

#[derive(Serialize, ToSchema)]
pub struct RowAnswer {
    /// Equals share one.
    pub rank: usize,
    pub participant_id: u32,
    pub name: String,
    pub seed: Option<u32>,
    /// A bye counts as a match that was won.
    pub played: usize,
    pub wins: usize,
    pub draws: usize,
    pub losses: usize,
    /// Lost by not playing.
    pub forfeits: usize,
    pub score_for: u64,
    pub score_against: u64,
    pub score_diff: i64,
    pub points: f64,
    #[schema(value_type = Object)]
    pub tie_breaks: BTreeMap<TieBreak, f64>,
    /// What they come from.
    pub games: Vec<PlayedAnswer>,
}

#[derive(Serialize, ToSchema)]
pub struct TableAnswer {
    pub name: String,
    pub rows: Vec<RowAnswer>,
}

#[derive(Serialize, ToSchema)]
pub struct StandingsAnswer {
    pub tournament_id: Uuid,
    pub version: u64,
    pub groups: Vec<TableAnswer>,
    /// The best first, equals together; empty until all is played.
    pub r#final: Vec<Vec<u32>>,
    /// Of those who are out of the knockout, while the others play; the best first.
    pub known: Vec<KnownPlaces>,
}

/// Places that equals share.
#[derive(Serialize, ToSchema)]
pub struct KnownPlaces {
    pub first: usize,
    pub last: usize,
    /// So far: others who come to share them may still play.
    pub participant_ids: Vec<u32>,
}

pub fn standings(id: Uuid, tournament: &Tournament, version: u64) -> StandingsAnswer {
    let groups = tournament
        .tables()
        .into_iter()
        .map(|number| TableAnswer {
            name: if number == 0 { "Swiss".to_owned() } else { format!("Group {}", group_letter(number)) },
            rows: rows(tournament, tournament.table(number)),
        })
        .collect();
    let tiers = tournament.final_places();
    let numbers = |tier: Vec<EntrantId>| tier.into_iter().map(|id| id.0).collect();
    let known = tournament.known_places().into_iter().filter(|tier| !tier.entrants.is_empty());
    StandingsAnswer {
        tournament_id: id,
        version,
        groups,
        r#final: tiers.into_iter().map(numbers).collect(),
        known: known
            .map(|tier| KnownPlaces {
                first: tier.first,
                last: tier.last,
                participant_ids: numbers(tier.entrants),
            })
            .collect(),
    }
}

fn rows(tournament: &Tournament, rows: Vec<Row>) -> Vec<RowAnswer> {
    let points: BTreeMap<EntrantId, f64> = rows.iter().map(|row| (row.entrant, row.points.value())).collect();
    rows.into_iter()
        .map(|row| {
            let entrant = tournament.entrants.get(&row.entrant);
            let (score_for, score_against) = (row.score_for(), row.score_against());
            RowAnswer {
                rank: row.rank,
                participant_id: row.entrant.0,
                name: entrant.map(|entrant| entrant.name.clone()).unwrap_or_default(),
                seed: entrant.and_then(|entrant| entrant.seed),
                played: row.played.len(),
                wins: row.wins(),
                draws: row.count(Outcome::Draw),
                losses: row.count(Outcome::Loss),
                forfeits: row.forfeits(),
                score_for,
                score_against,
                score_diff: i64::try_from(score_for).unwrap_or(i64::MAX)
                    - i64::try_from(score_against).unwrap_or(i64::MAX),
                points: row.points.value(),
                games: row
                    .played
                    .iter()
                    .map(|played| PlayedAnswer {
                        key: played.key.to_string(),
                        opponent_id: played.opponent.map(|opponent| opponent.0),
                        result: played.result,
                        score_for: played.score_for,
                        score_against: played.score_against,
                        points: played.points.value(),
                        opponent_points: played.opponent.and_then(|opponent| points.get(&opponent).copied()),
                    })
                    .collect(),
                tie_breaks: row.values,
            }
        })
        .collect()
}
