//! What the actors of live matches ask and tell ([`mohaa_actors::live::Achievements`]).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mohaa_actors::live::{Achievements, Standing, Unlocked};
use mohaa_domain::achievements::{Catalogue, Tally, TierOf, TiersHeld};
use mohaa_domain::event::{Millis, Text};
use serde_json::json;
use uuid::Uuid;

use super::asks::Ask;
use super::{AchievementStore, UnlockRow, points_of};
use crate::webhooks::{Announcement, WebhookEvent, announce};

/// Actors ask again; nobody waits for a store that hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known of ids.
struct Known {
    had: HashMap<String, Vec<TierOf>>,
    tallies: Option<HashMap<String, Tally>>,
}

impl Known {
    /// Of the person with these ids.
    fn standing(&self, ids: &[String]) -> Standing {
        let has: TiersHeld = ids.iter().filter_map(|id| self.had.get(id)).flatten().cloned().collect();
        let others = self.tallies.as_ref().map(|tallies| {
            let mut sum = Tally::default();
            ids.iter().filter_map(|id| tallies.get(id)).for_each(|one| sum += one);
            sum
        });
        Standing { has, others }
    }
}

impl Achievements for AchievementStore {
    fn catalogue(&self) -> Arc<Catalogue> {
        self.definitions()
    }

    fn standings(&self, match_id: Uuid, player_ids: Vec<Text>) -> BoxFuture<'_, HashMap<Text, Standing>> {
        let ids_of = |id: Text| (self.players.all_of(&self.players.of(&id)), id);
        let persons = player_ids.into_iter().map(ids_of).map(|(ids, id)| (id, ids)).collect();
        self.asks.put(match_id, persons, |asks| self.answer(asks)).boxed()
    }

    fn of_match(&self, match_id: Uuid) -> BoxFuture<'_, Option<Vec<Unlocked>>> {
        let rows = sqlx::query_as::<_, UnlockRow>(
            "SELECT player_id, achievement, tier, match_id, tournament_id, unlocked_at FROM player_achievements
             WHERE match_id = $1 ORDER BY unlocked_at, player_id, achievement, tier",
        )
        .bind(match_id)
        .fetch_all(&self.postgres);
        async move {
            let rows = tokio::time::timeout(PATIENCE, rows).await.ok()?.ok()?;
            Some(rows.into_iter().map(unlocked).collect())
        }
        .boxed()
    }

    fn unlock(&self, match_id: Uuid, earned: Vec<Unlocked>) -> BoxFuture<'_, Option<Vec<Unlocked>>> {
        async move {
            match tokio::time::timeout(PATIENCE, self.keep(match_id, &earned)).await {
                Ok(Ok(new)) => Some(new),
                Ok(Err(error))
                    if error.as_database_error().is_some_and(|it| it.is_foreign_key_violation()) =>
                {
                    // The definition went while it was earned.
                    tracing::warn!(%error, %match_id, "achievements that are no more were not kept");
                    Some(Vec::new())
                }
                Ok(Err(error)) => {
                    tracing::warn!(%error, %match_id, "achievements can't be kept yet");
                    None
                }
                Err(_) => None,
            }
        }
        .boxed()
    }
}

fn unlocked(row: UnlockRow) -> Unlocked {
    Unlocked {
        player_id: Text::from(row.player_id),
        tier: TierOf { achievement: row.achievement, tier: row.tier },
        at: Millis(row.unlocked_at.timestamp_millis()),
    }
}

impl AchievementStore {
    /// Answers all of them by one question, as far as that is known; whether all of it is.
    async fn answer(&self, asks: VecDeque<Ask>) -> bool {
        let ids_of = |ask: &Ask| -> Vec<(String, Option<Uuid>)> {
            let ids = ask.persons.iter().flat_map(|(_, ids)| ids.iter().cloned());
            ids.map(|id| (id, Some(ask.match_id))).collect()
        };
        let asked: HashMap<String, Option<Uuid>> = asks.iter().flat_map(ids_of).collect();
        let known = match tokio::time::timeout(PATIENCE, self.known_of(asked)).await {
            Ok(Ok(known)) => known,
            Ok(Err(error)) => {
                tracing::warn!(%error, "what players have unlocked can't be asked yet");
                return false;
            }
            Err(_) => return false,
        };
        for ask in asks {
            let of_person = |(id, ids): &(Text, Vec<String>)| (id.clone(), known.standing(ids));
            let standings = ask.persons.iter().map(of_person).collect();
            ask.tell(standings);
        }
        known.tallies.is_some()
    }

    async fn known_of(&self, asked: HashMap<String, Option<Uuid>>) -> sqlx::Result<Known> {
        let ids: Vec<&String> = asked.keys().collect();
        let rows: Vec<(String, String, i16)> = sqlx::query_as(
            "SELECT player_id, achievement, tier FROM player_achievements WHERE player_id = ANY($1)",
        )
        .bind(&ids)
        .fetch_all(&self.postgres)
        .await?;
        let mut had: HashMap<String, Vec<TierOf>> = HashMap::new();
        for (player_id, achievement, tier) in rows {
            had.entry(player_id).or_default().push(TierOf { achievement, tier });
        }
        Ok(Known { had, tallies: self.stats.tallies(asked).await.ok() })
    }

    /// What webhooks are told of an unlock.
    pub(super) fn announcement_of(&self, row: &UnlockRow) -> Announcement {
        let definitions = self.definitions();
        let definition = definitions.of(&row.achievement);
        Announcement {
            event: WebhookEvent::Achievement,
            tournament_id: None,
            at: row.unlocked_at,
            data: json!({
                "player_id": self.players.of(&row.player_id),
                "achievement": row.achievement,
                "name": definition.map(|definition| &definition.name),
                "description": definition.filter(|it| !it.hidden).map(|definition| &definition.description),
                "tier": row.tier,
                "tiers": definition.map(|definition| definition.tiers.len()),
                "points": definition.map(|definition| points_of(definition, row.tier)),
                "match_id": row.match_id,
                "tournament_id": row.tournament_id,
            }),
        }
    }

    /// Gives what was not there before, under any id of the same person, and announces it to webhooks.
    async fn keep(&self, match_id: Uuid, earned: &[Unlocked]) -> sqlx::Result<Vec<Unlocked>> {
        let persons: Vec<String> = earned.iter().map(|one| self.players.of(&one.player_id)).collect();
        let (shared_ids, shared_by) = self.players.shared();
        let players: Vec<&str> = earned.iter().map(|one| one.player_id.as_str()).collect();
        let achievements: Vec<&str> = earned.iter().map(|one| one.tier.achievement.as_str()).collect();
        let tiers: Vec<i16> = earned.iter().map(|one| one.tier.tier).collect();
        let times: Vec<DateTime<Utc>> =
            earned.iter().map(|one| DateTime::from_timestamp_millis(one.at.0).unwrap_or_default()).collect();
        let mut transaction = self.postgres.begin().await?;
        // The key keeps each id from unlocking twice; a person of several may play several matches at once.
        sqlx::query(
            "SELECT pg_advisory_xact_lock(hashtextextended(person, 0)) FROM (
                 SELECT DISTINCT person FROM unnest($1::text[]) AS earned (person)
                 WHERE person = ANY($2) ORDER BY person) AS persons",
        )
        .bind(&persons)
        .bind(&shared_by)
        .execute(&mut *transaction)
        .await?;
        let new: Vec<UnlockRow> = sqlx::query_as(
            "WITH shared AS (SELECT * FROM unnest($1::text[], $2::text[]) AS shared (id, person))
             INSERT INTO player_achievements (player_id, achievement, tier, match_id, unlocked_at)
             SELECT DISTINCT ON (person, achievement, tier) player_id, achievement, tier, $3, unlocked_at
             FROM unnest($4::text[], $5::text[], $6::text[], $7::smallint[], $8::timestamptz[])
                 AS earned (player_id, person, achievement, tier, unlocked_at)
             WHERE NOT EXISTS (
                 SELECT 1 FROM shared JOIN player_achievements AS had ON had.player_id = shared.id
                 WHERE shared.person = earned.person AND had.player_id <> earned.player_id
                     AND had.achievement = earned.achievement AND had.tier = earned.tier)
             ORDER BY person, achievement, tier, unlocked_at, player_id
             ON CONFLICT DO NOTHING
             RETURNING player_id, achievement, tier, match_id, tournament_id, unlocked_at",
        )
        .bind(&shared_ids)
        .bind(&shared_by)
        .bind(match_id)
        .bind(&players)
        .bind(&persons)
        .bind(&achievements)
        .bind(&tiers)
        .bind(&times)
        .fetch_all(&mut *transaction)
        .await?;
        for row in &new {
            announce(&mut transaction, &self.announcement_of(row)).await?;
        }
        transaction.commit().await?;
        let mut new: Vec<Unlocked> = new.into_iter().map(unlocked).collect();
        // In the order in which they were earned.
        new.sort_by_key(|one| {
            earned.iter().position(|other| other.player_id == one.player_id && other.tier == one.tier)
        });
        Ok(new)
    }
}
