//! Achievements as they are kept: definitions and unlocks in PostgreSQL, totals by way of the statistics.
//!
//! What earns one is decided by the actors of live matches ([`mohaa_actors::live`]), and as a tournament is completed
//! ([`tournaments`]), with the rules of [`mohaa_domain::achievements`]. Unlocks keep the id under which they were earned; questions bring a person's ids
//! together, so that a link or a merge carries them over and its undoing gives them back.

mod answers;
mod asks;
mod catalogue;
mod handlers;
mod keeper;
mod tournaments;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use mohaa_domain::achievements::{Definition, Scope, Tally};
use sqlx::{FromRow, PgPool};
use uuid::Uuid;

pub use answers::{
    AchievementList, Hidden, ListedAchievement, ListedTier, PlayerAchievement, PlayerAchievements,
    RecentUnlock,
};
pub use catalogue::{CatalogueError, SharedCatalogue};
pub use handlers::{AchievementsApi, QUERY_SHAPES, routes};

use asks::Asks;

use crate::http::ApiError;
use crate::players::CanonicalIds;
use crate::postgres;
use crate::stats::Stats;

/// What stands beside a player's statistics is not waited for as long as they are.
const GIVE_UP_AFTER: Duration = Duration::from_secs(2);
/// Unlocks that the page shows.
const RECENT: i64 = 20;

/// What is kept of achievements. Cheap to clone.
#[derive(Clone)]
pub struct AchievementStore {
    postgres: PgPool,
    stats: Stats,
    players: CanonicalIds,
    catalogue: SharedCatalogue,
    asks: Asks,
}

#[derive(FromRow)]
struct UnlockRow {
    player_id: String,
    achievement: String,
    tier: i16,
    match_id: Option<Uuid>,
    tournament_id: Option<Uuid>,
    unlocked_at: DateTime<Utc>,
}

impl AchievementStore {
    pub fn new(postgres: PgPool, stats: Stats, players: CanonicalIds) -> Self {
        Self { postgres, stats, players, catalogue: SharedCatalogue::default(), asks: Asks::default() }
    }

    /// Reads the definitions, and reads them again from time to time; for ever.
    pub fn keep_catalogue(&self) -> impl Future<Output = ()> + 'static {
        self.catalogue.clone().keep(self.postgres.clone())
    }

    /// What there is to earn now.
    pub fn definitions(&self) -> Arc<mohaa_domain::achievements::Catalogue> {
        self.catalogue.now()
    }

    /// All definitions, how many have what, and what was unlocked last.
    pub async fn list(&self) -> Result<AchievementList, ApiError> {
        let (ids, persons) = self.players.shared();
        let holders: Vec<(String, i16, i64)> = sqlx::query_as(
            "SELECT achievement, tier, count(DISTINCT coalesce(person, player_id)) FROM player_achievements
             LEFT JOIN unnest($1::text[], $2::text[]) AS shared (id, person) ON id = player_id
             GROUP BY achievement, tier",
        )
        .bind(&ids)
        .bind(&persons)
        .fetch_all(&self.postgres)
        .await
        .map_err(unavailable)?;
        let holders: BTreeMap<(String, i16), u64> = holders
            .into_iter()
            .map(|(slug, tier, count)| ((slug, tier), u64::try_from(count).unwrap_or_default()))
            .collect();
        // How rare something is is worth no outage.
        let players = self.stats.known_players().await.ok();
        let catalogue = self.definitions();
        let mut hidden = 0;
        let achievements: Vec<ListedAchievement> = catalogue
            .definitions()
            .iter()
            .map(|definition| {
                hidden += usize::from(definition.hidden);
                ListedAchievement::of(definition, hidden, players, &holders)
            })
            .collect();
        // What somebody had already under another id is no news.
        let recent: Vec<UnlockRow> = sqlx::query_as(
            "WITH shared AS (SELECT * FROM unnest($1::text[], $2::text[]) AS shared (id, person))
             SELECT player_id, achievement, tier, match_id, tournament_id, unlocked_at FROM player_achievements AS one
             WHERE NOT EXISTS (
                 SELECT 1 FROM shared AS mine JOIN shared AS other USING (person)
                 JOIN player_achievements AS before ON before.player_id = other.id
                 WHERE mine.id = one.player_id AND other.id <> one.player_id
                     AND before.achievement = one.achievement AND before.tier = one.tier
                     AND before.unlocked_at < one.unlocked_at)
             ORDER BY unlocked_at DESC, player_id, achievement, tier LIMIT $3",
        )
        .bind(&ids)
        .bind(&persons)
        .bind(RECENT)
        .fetch_all(&self.postgres)
        .await
        .map_err(unavailable)?;
        let ids = recent.iter().map(|row| self.players.of(&row.player_id)).collect();
        let names = self.stats.names_of_players(ids).await.unwrap_or_default();
        let recent = recent.into_iter().filter_map(|row| {
            let definition = catalogue.of(&row.achievement)?;
            let player_id = self.players.of(&row.player_id);
            let (plain, raw) =
                names.get(&player_id).cloned().unwrap_or_else(|| (player_id.clone(), player_id.clone()));
            Some(RecentUnlock {
                player_id,
                player_name: plain,
                player_name_raw: raw,
                slug: if definition.hidden { Hidden::SLUG.to_owned() } else { row.achievement },
                name: if definition.hidden { Hidden::NAME.to_owned() } else { definition.name.clone() },
                icon: if definition.hidden { Hidden::ICON.to_owned() } else { definition.icon.clone() },
                tier: row.tier,
                tiers: definition.tiers.len(),
                points: points_of(definition, row.tier),
                match_id: row.match_id,
                tournament_id: row.tournament_id,
                unlocked_at: row.unlocked_at,
            })
        });
        Ok(AchievementList { recent: recent.collect(), achievements })
    }

    /// What a player has; nothing while nobody can say.
    pub async fn unlocked_by(&self, player_id: &str) -> Vec<PlayerAchievement> {
        self.all_of(player_id).await.into_iter().filter(|one| one.tier > 0).collect()
    }

    /// What a player has or can still earn; nothing while nobody can say.
    pub async fn all_of(&self, player_id: &str) -> Vec<PlayerAchievement> {
        match tokio::time::timeout(GIVE_UP_AFTER, self.of_player(player_id)).await {
            Err(_) => Vec::new(),
            Ok(Ok(all)) => all.achievements,
            Ok(Err(error)) => {
                tracing::warn!(cause = ?error.cause(), "a player's achievements can't be read");
                Vec::new()
            }
        }
    }

    /// Everything that a player has or can still earn.
    pub async fn of_player(&self, player_id: &str) -> Result<PlayerAchievements, ApiError> {
        let player_id = self.players.of(player_id);
        let ids = self.players.all_of(&player_id);
        let unlocks: Vec<UnlockRow> = sqlx::query_as(
            "SELECT player_id, achievement, tier, match_id, tournament_id, unlocked_at FROM player_achievements
             WHERE player_id = ANY($1) ORDER BY unlocked_at",
        )
        .bind(&ids)
        .fetch_all(&self.postgres)
        .await
        .map_err(unavailable)?;
        let mut tally = Tally::default();
        let totals_are_known = match self.stats.tallies(ids.into_iter().map(|id| (id, None)).collect()).await
        {
            Ok(tallies) => {
                tallies.values().for_each(|one| tally += one);
                true
            }
            Err(_) => false,
        };
        let catalogue = self.definitions();
        let achievements: Vec<PlayerAchievement> = catalogue
            .definitions()
            .iter()
            .filter_map(|definition| {
                let adds_up = totals_are_known && definition.rule.scope == Scope::Career;
                let value = adds_up.then(|| tally.measure(&definition.rule.measure));
                let mine: Vec<&UnlockRow> =
                    unlocks.iter().filter(|row| row.achievement == definition.slug).collect();
                PlayerAchievement::of(definition, &mine, value)
            })
            .collect();
        let points = achievements.iter().map(|achievement| achievement.points).sum();
        Ok(PlayerAchievements { player_id, points, achievements })
    }
}

/// Points of a tier and those below it.
fn points_of(definition: &Definition, tier: i16) -> i32 {
    definition.tiers.iter().filter(|one| one.tier <= tier).map(|one| one.points).sum()
}

fn unavailable(cause: sqlx::Error) -> ApiError {
    let message = "achievements can't be read at the moment; try again in a moment";
    postgres::unanswered("achievements_unavailable", message, cause)
}
