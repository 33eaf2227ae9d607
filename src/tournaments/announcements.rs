//! What webhooks are told of a mutation, written with it.

use mohaa_actors::tournament::{Commit, Intent};
use mohaa_domain::tournament::{
    Bout, BoutStatus, Change, Entrant, EntrantId, Occupant, Place, Status, Tournament,
};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::answers::ForfeitBody;
use super::store::time;
use crate::webhooks::{Announcement, WebhookEvent, announce_all};

/// Writes into the outbox whatever a mutation brought about.
pub async fn announce_changes(connection: &mut PgConnection, commit: &Commit<'_>) -> sqlx::Result<()> {
    let at = time(commit.at).unwrap_or_default();
    let announcement =
        |(event, data)| Announcement { event, tournament_id: Some(commit.tournament_id), at, data };
    let all: Vec<Announcement> = news(commit).into_iter().map(announcement).collect();
    announce_all(connection, &all).await?;
    Ok(())
}

/// What is worth telling, in the order in which it came about.
fn news(commit: &Commit<'_>) -> Vec<(WebhookEvent, Value)> {
    let now = &commit.applied.tournament;
    let tell = |mut data: Value| {
        data["tournament_id"] = json!(commit.tournament_id);
        data["tournament"] = json!(now.settings.name);
        data
    };
    let is_undo = *commit.intent == Intent::Undo;
    let mut news = Vec::new();
    for change in &commit.applied.changes {
        match change {
            Change::Entrant { id, before, after } => {
                let place = |entrant: &Option<Box<Entrant>>| entrant.as_ref().map(|entrant| entrant.place);
                if place(before) != place(after) {
                    let entrant = after.as_ref().or(before.as_ref());
                    news.push((
                        WebhookEvent::Registration,
                        tell(json!({
                            "participant_id": id.0,
                            "participant": entrant.map(|entrant| &entrant.name),
                            // Null: the registration was taken back.
                            "status": place(after),
                            "waitlisted": place(after) == Some(Place::Waiting),
                        })),
                    ));
                }
            }
            Change::Match { before, after: Some(after), .. } => {
                news.extend(of_match(now, before.as_deref(), after).map(|(event, data)| (event, tell(data))));
            }
            Change::Match { .. } => {}
            Change::Frame { before, after } => {
                if before.status != Status::Checkin && after.status == Status::Checkin && !is_undo {
                    let ends = after.settings.times.checkin_end.and_then(time);
                    news.push((WebhookEvent::CheckinOpen, tell(json!({ "checkin_end": ends }))));
                }
            }
        }
    }
    // After the match that ended it, and after one that was corrected since.
    let has_changed_in_the_end = commit.applied.changes.iter().any(|change| match change {
        Change::Frame { before, after } => before.status != after.status,
        Change::Match { before, after, .. } => {
            let verdict = |bout: &Option<Box<Bout>>| {
                bout.as_ref().and_then(|bout| bout.outcome.as_ref()).map(|outcome| outcome.verdict.clone())
            };
            verdict(before) != verdict(after)
        }
        Change::Entrant { .. } => false,
    });
    if now.status == Status::Completed && has_changed_in_the_end {
        let places = now.final_places();
        let names = |tier: &Vec<EntrantId>| tier.iter().map(|id| name(now, *id)).collect::<Vec<_>>();
        let best: Vec<Vec<Value>> = places.iter().take(8).map(names).collect();
        news.push((
            WebhookEvent::Completed,
            tell(json!({ "winner": best.first().and_then(|tier| tier.first()), "places": best })),
        ));
    }
    news
}

fn name(tournament: &Tournament, id: EntrantId) -> Value {
    json!(tournament.entrants.get(&id).map(|entrant| &entrant.name))
}

fn of_match<'a>(
    tournament: &'a Tournament,
    before: Option<&'a Bout>,
    after: &'a Bout,
) -> impl Iterator<Item = (WebhookEvent, Value)> + 'a {
    let side = |occupant: Occupant| occupant.entrant().map_or(Value::Null, |id| name(tournament, id));
    let [one, two] = after.occupants.map(side);
    let base = json!({ "match": after.key, "side1": one, "side2": two });
    let became_ready =
        after.status == BoutStatus::Ready && before.is_none_or(|before| before.status < BoutStatus::Ready);
    let outcome = |bout: &'a Bout| bout.outcome.as_ref().map(|outcome| &outcome.verdict);
    let has_new_result = outcome(after).is_some() && before.and_then(outcome) != outcome(after);
    let is_newly_disputed = after.dispute.is_some() && before.is_none_or(|before| before.dispute.is_none());
    let with = |more: Value| {
        let mut data = base.clone();
        if let (Value::Object(data), Value::Object(more)) = (&mut data, more) {
            data.extend(more);
        }
        data
    };
    let ready = became_ready.then(|| {
        let plan = &after.plan;
        let scheduled_at = plan.scheduled_at.and_then(time);
        let more = json!({ "best_of": after.best_of, "scheduled_at": scheduled_at, "map": plan.map });
        (WebhookEvent::MatchReady, with(more))
    });
    let result = outcome(after).filter(|_| has_new_result).map(|verdict| {
        let winner = verdict.winner.map_or(Value::Null, |winner| side(after.occupants[winner.index()]));
        let more = json!({
            "score1": verdict.scores[0],
            "score2": verdict.scores[1],
            // Null: a draw, or nobody played.
            "winner": winner,
            "forfeit": verdict.forfeit.map(ForfeitBody),
        });
        (WebhookEvent::Result, with(more))
    });
    let dispute = after
        .dispute
        .as_ref()
        .filter(|_| is_newly_disputed)
        .map(|dispute| (WebhookEvent::Dispute, with(json!({ "reason": dispute.reason }))));
    ready.into_iter().chain(result).chain(dispute)
}
