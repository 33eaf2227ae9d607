//! What is earned in tournaments: brought in line with a tournament within the mutation that settles it.
//!
//! A tournament gives what its final state earns, no more and no less, however often it is settled: a correction may take
//! something back and give it to others. What is earned is kept for each tournament, so that who loses it in one still has it
//! from another. While a tournament is played, for the first time or again, nothing is given or taken.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use mohaa_domain::achievements::campaigns;
use mohaa_domain::player::is_guest_id;
use mohaa_domain::tournament::{Holder, Status, Tournament};
use sqlx::PgConnection;
use uuid::Uuid;

use super::catalogue::read_definitions;
use super::{AchievementStore, UnlockRow};
use crate::webhooks::announce_all;

/// Whom somebody plays for, and what they are called.
type Lineup = Vec<(i32, String)>;

/// What was just unlocked, to be announced when everything else is written.
#[must_use]
pub struct NewUnlocks(Vec<UnlockRow>);

impl AchievementStore {
    /// Gives and takes what a tournament earns as it stands now, at a moment at which it is not being played. Nothing for one that
    /// was imported.
    pub async fn settle_tournament(
        &self,
        connection: &mut PgConnection,
        id: Uuid,
        tournament: &Tournament,
        at: DateTime<Utc>,
    ) -> sqlx::Result<NewUnlocks> {
        let is_imported: bool = sqlx::query_scalar("SELECT imported FROM tournaments WHERE id = $1")
            .bind(id)
            .fetch_one(&mut *connection)
            .await?;
        if is_imported {
            return Ok(NewUnlocks(Vec::new()));
        }
        let earned = match tournament.status {
            Status::Completed => {
                let lineup = lineup(connection, id, tournament).await?;
                earned(&read_definitions(connection).await?, tournament, &lineup)
            }
            // It was taken back to before its start, or cancelled after a correction.
            _ => {
                sqlx::query("DELETE FROM tournament_players WHERE tournament_id = $1")
                    .bind(id)
                    .execute(&mut *connection)
                    .await?;
                BTreeSet::new()
            }
        };
        let players: Vec<&str> = earned.iter().map(|(player, ..)| player.as_str()).collect();
        let achievements: Vec<&str> = earned.iter().map(|(_, achievement, _)| achievement.as_str()).collect();
        let tiers: Vec<i16> = earned.iter().map(|(.., tier)| *tier).collect();
        // By primary key.
        sqlx::query(
            "UPDATE tournament_achievements SET stands = false
             WHERE tournament_id = $1 AND stands AND (player_id, achievement, tier) NOT IN (
                 SELECT * FROM unnest($2::text[], $3::text[], $4::smallint[]))",
        )
        .bind(id)
        .bind(&players)
        .bind(&achievements)
        .bind(&tiers)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "INSERT INTO tournament_achievements (tournament_id, player_id, achievement, tier, earned_at)
             SELECT $1, earned.player_id, earned.achievement, earned.tier, $5
             FROM unnest($2::text[], $3::text[], $4::smallint[]) AS earned (player_id, achievement, tier)
             ON CONFLICT (tournament_id, player_id, achievement, tier) DO UPDATE SET stands = true
             WHERE NOT tournament_achievements.stands",
        )
        .bind(id)
        .bind(&players)
        .bind(&achievements)
        .bind(&tiers)
        .bind(at)
        .execute(&mut *connection)
        .await?;
        take_back(connection, id).await?;
        // Several tournaments may unlock the same at once: all in one order.
        let new: Vec<UnlockRow> = sqlx::query_as(
            "INSERT INTO player_achievements (player_id, achievement, tier, tournament_id, unlocked_at)
             SELECT player_id, achievement, tier, tournament_id, earned_at FROM tournament_achievements
             WHERE tournament_id = $1 AND stands ORDER BY player_id, achievement, tier
             ON CONFLICT DO NOTHING
             RETURNING player_id, achievement, tier, match_id, tournament_id, unlocked_at",
        )
        .bind(id)
        .fetch_all(&mut *connection)
        .await?;
        let untold: Vec<(String, String, i16)> = sqlx::query_as(
            "UPDATE tournament_achievements SET is_told = true WHERE tournament_id = $1 AND stands AND NOT is_told
             RETURNING player_id, achievement, tier",
        )
        .bind(id)
        .fetch_all(connection)
        .await?;
        let is_news = |row: &UnlockRow| {
            untold.iter().any(|(player, achievement, tier)| {
                *player == row.player_id && *achievement == row.achievement && *tier == row.tier
            })
        };
        Ok(NewUnlocks(new.into_iter().filter(is_news).collect()))
    }

    /// Tells webhooks.
    pub async fn announce_unlocks(
        &self,
        connection: &mut PgConnection,
        unlocks: &NewUnlocks,
    ) -> sqlx::Result<()> {
        let all: Vec<_> = unlocks.0.iter().map(|row| self.announcement_of(row)).collect();
        announce_all(connection, &all).await?;
        Ok(())
    }
}

/// What a tournament does not give any more; who has it from another tournament as well has it from that.
async fn take_back(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    // By `player_achievements_by_tournament`.
    let lost: Vec<(String, String, i16)> = sqlx::query_as(
        "DELETE FROM player_achievements AS had WHERE tournament_id = $1 AND NOT EXISTS (
             SELECT 1 FROM tournament_achievements AS earned
             WHERE earned.tournament_id = $1 AND earned.stands AND earned.player_id = had.player_id
                 AND earned.achievement = had.achievement AND earned.tier = had.tier)
         RETURNING player_id, achievement, tier",
    )
    .bind(id)
    .fetch_all(&mut *connection)
    .await?;
    if lost.is_empty() {
        return Ok(());
    }
    // By `tournament_achievements_by_player`.
    sqlx::query(
        "INSERT INTO player_achievements (player_id, achievement, tier, tournament_id, unlocked_at)
         SELECT DISTINCT ON (player_id, achievement, tier) player_id, achievement, tier, tournament_id, earned_at
         FROM tournament_achievements WHERE stands AND (player_id, achievement, tier) IN (
             SELECT * FROM unnest($1::text[], $2::text[], $3::smallint[]))
         ORDER BY player_id, achievement, tier, earned_at, tournament_id
         ON CONFLICT DO NOTHING",
    )
    .bind(lost.iter().map(|(player, ..)| player.as_str()).collect::<Vec<_>>())
    .bind(lost.iter().map(|(_, achievement, _)| achievement.as_str()).collect::<Vec<_>>())
    .bind(lost.iter().map(|(.., tier)| *tier).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Player, achievement, tier: once, also where somebody played for several entrants.
fn earned(
    catalogue: &mohaa_domain::achievements::Catalogue,
    tournament: &Tournament,
    lineup: &Lineup,
) -> BTreeSet<(String, String, i16)> {
    let mut players_of: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for (participant, player_id) in lineup {
        players_of.entry(u32::try_from(*participant).unwrap_or(0)).or_default().push(player_id);
    }
    let mut all = BTreeSet::new();
    for (entrant, campaign) in campaigns(tournament) {
        let Some(players) = players_of.get(&entrant.0) else { continue };
        for (definition, tier) in catalogue.earned_in_tournament(&campaign) {
            let of_player = |player: &&str| ((*player).to_owned(), definition.slug.clone(), tier.tier);
            all.extend(players.iter().map(of_player));
        }
    }
    all
}

/// Who played for whom: as it was written down, or else as it is now and is written down. Guests are nobody for long.
async fn lineup(connection: &mut PgConnection, id: Uuid, tournament: &Tournament) -> sqlx::Result<Lineup> {
    // By primary key, like all of this.
    let written: Lineup =
        sqlx::query_as("SELECT participant, player_id FROM tournament_players WHERE tournament_id = $1")
            .bind(id)
            .fetch_all(&mut *connection)
            .await?;
    if !written.is_empty() {
        return Ok(written);
    }
    let mut lineup: Lineup = Vec::new();
    let mut teams: Vec<(i32, Uuid)> = Vec::new();
    for entrant in tournament.draw.seeds.iter().filter_map(|id| tournament.entrants.get(id)) {
        let participant = i32::try_from(entrant.id.0).unwrap_or(i32::MAX);
        match entrant.holder {
            Holder::User(user_id) => lineup.push((participant, user_id.to_string())),
            Holder::Team(team_id) => teams.push((participant, team_id)),
            Holder::Nobody => {
                let known = entrant.player_id.iter().filter(|player_id| !is_guest_id(player_id));
                lineup.extend(known.map(|player_id| (participant, player_id.clone())));
            }
        }
    }
    let members: Vec<(i32, i32)> = sqlx::query_as(
        "SELECT team.participant, team_members.user_id FROM unnest($1::int[], $2::uuid[]) AS team (participant, id)
         JOIN team_members ON team_members.team_id = team.id WHERE team_members.role <> 'substitute'",
    )
    .bind(teams.iter().map(|(participant, _)| *participant).collect::<Vec<_>>())
    .bind(teams.iter().map(|(_, team_id)| *team_id).collect::<Vec<_>>())
    .fetch_all(&mut *connection)
    .await?;
    lineup.extend(members.into_iter().map(|(participant, user_id)| (participant, user_id.to_string())));
    sqlx::query(
        "INSERT INTO tournament_players (tournament_id, participant, player_id)
         SELECT $1, new.participant, new.player_id FROM unnest($2::int[], $3::text[]) AS new (participant, player_id)
         ON CONFLICT DO NOTHING",
    )
    .bind(id)
    .bind(lineup.iter().map(|(participant, _)| *participant).collect::<Vec<_>>())
    .bind(lineup.iter().map(|(_, player_id)| player_id.as_str()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(lineup)
}
