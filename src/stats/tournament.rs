//! What was played in the games of a tournament, by player, and its records. Numbers are those of boards
//! (docs/statistics.md), of these matches alone; guests count, who played like everybody, and what bots took part in does not.
//!
//! The best player of a game (`mvps`) has most kills in it, then fewest deaths, then most damage.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use clickhouse::Row;
use mohaa_domain::player::is_guest_id;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Stats;
use super::bracket_games::MOST_GAMES;
use super::career::killstreaks_by_match;
use super::matches::OutcomeRow;
use super::people::canonical;
use super::query::Sql;
use super::ratio::{kd_ratio, percent, round};
use super::selection::COMBAT;
use crate::http::ApiError;
use crate::http::query::Paging;

/// What players of a tournament are ordered by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TournamentSort {
    #[default]
    Kills,
    Deaths,
    KdRatio,
    Headshots,
    HeadshotPercent,
    Accuracy,
    Damage,
    Wins,
    Killstreak,
    Mvps,
    Playtime,
}

impl TournamentSort {
    const ALL: [Self; 11] = [
        Self::Kills,
        Self::Deaths,
        Self::KdRatio,
        Self::Headshots,
        Self::HeadshotPercent,
        Self::Accuracy,
        Self::Damage,
        Self::Wins,
        Self::Killstreak,
        Self::Mvps,
        Self::Playtime,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kills => "kills",
            Self::Deaths => "deaths",
            Self::KdRatio => "kd_ratio",
            Self::Headshots => "headshots",
            Self::HeadshotPercent => "headshot_percent",
            Self::Accuracy => "accuracy",
            Self::Damage => "damage",
            Self::Wins => "wins",
            Self::Killstreak => "killstreak",
            Self::Mvps => "mvps",
            Self::Playtime => "playtime",
        }
    }

    pub fn from_word(word: &str) -> Result<Self, String> {
        let words = || Self::ALL.map(Self::as_str).join(", ");
        let found = Self::ALL.into_iter().find(|sort| sort.as_str() == word);
        found.ok_or_else(|| format!("must be one of {}", words()))
    }

    /// Over the columns of `counted`.
    fn order(self) -> &'static str {
        match self {
            Self::Kills => "kills",
            Self::Deaths => "deaths",
            Self::KdRatio => "kills / greatest(deaths, 1)",
            Self::Headshots => "headshots",
            Self::HeadshotPercent => "headshots / greatest(kills, 1)",
            Self::Accuracy => "least(shots_hit / greatest(shots_fired, 1), 1)",
            Self::Damage => "damage",
            Self::Wins => "games_won",
            Self::Killstreak => "best_killstreak",
            Self::Mvps => "mvps",
            Self::Playtime => "playtime_seconds",
        }
    }
}

/// A game that counts, and the match of the bracket that it is of.
#[derive(Clone, Debug)]
pub struct BracketGame {
    pub match_id: Uuid,
    pub key: String,
}

/// The games of a tournament, as they reported themselves.
#[derive(Clone, Debug)]
pub struct BracketGames {
    pub games: Vec<BracketGame>,
    /// There are more than are added up.
    pub more_games: bool,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TournamentFigures {
    pub page: u32,
    pub limit: u32,
    /// Players.
    pub total: u64,
    /// What players are ordered by.
    #[schema(value_type = String, example = "kills")]
    pub stat: &'static str,
    /// Games that servers reported and that stand.
    pub games: usize,
    /// Matches of the bracket that these are of.
    pub matches: usize,
    /// Whether there were more than are added up (5,000).
    pub more_games: bool,
    pub kills: u64,
    pub headshots: u64,
    pub damage: f64,
    /// Of all games together.
    pub duration_seconds: u64,
    /// The best of one game: `kills`, `headshots`, `damage` and `killstreak` of a player, and `longest_game` in seconds. Those
    /// that there are.
    pub records: Vec<TournamentRecord>,
    pub players: Vec<TournamentPlayer>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TournamentRecord {
    #[schema(value_type = String, example = "kills")]
    pub record: &'static str,
    pub value: f64,
    pub player_id: Option<String>,
    pub player_name: Option<String>,
    pub player_name_raw: Option<String>,
    pub match_id: Uuid,
    /// The match of the bracket.
    #[schema(example = "W1.3")]
    pub key: String,
    pub map_name: Option<String>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TournamentPlayer {
    pub rank: u64,
    pub player_id: String,
    pub player_name: String,
    pub player_name_raw: String,
    pub guest: bool,
    /// Whom the player played for, where the entrants tell.
    pub participant_id: Option<u32>,
    pub kills: u64,
    pub deaths: u64,
    pub kd_ratio: f64,
    pub headshots: u64,
    pub headshot_percent: f64,
    pub accuracy: f64,
    pub damage: f64,
    pub suicides: u64,
    pub team_kills: u64,
    pub best_killstreak: u64,
    /// Games in which the player was the best.
    pub mvps: u64,
    pub games_played: u64,
    pub games_won: u64,
    pub win_rate: f64,
    pub playtime_seconds: u64,
}

#[derive(Clone, Row, Deserialize)]
struct PlayerRow {
    player_id: String,
    kills: u64,
    deaths: u64,
    headshots: u64,
    damage: f64,
    shots_fired: u64,
    shots_hit: u64,
    suicides: u64,
    team_kills: u64,
    best_killstreak: u64,
    mvps: u64,
    games_played: u64,
    games_won: u64,
    playtime_seconds: u64,
}

/// Who, in which match, and how much.
type Best = (String, String, f64);

#[derive(Clone, Row, Deserialize)]
struct TotalsRow {
    players: u64,
    kills: u64,
    headshots: u64,
    damage: f64,
    most_kills: Best,
    most_headshots: Best,
    most_damage: Best,
}

#[derive(Clone, Row, Deserialize)]
struct StreakRow {
    longest: Best,
}

/// These matches and the days on which they have events.
struct Played {
    match_ids: Vec<String>,
    days: Vec<String>,
}

impl Played {
    fn of(outcomes: &[OutcomeRow]) -> Self {
        let days: BTreeSet<NaiveDate> = outcomes
            .iter()
            .flat_map(|game| {
                let last = game.updated_at.date_naive();
                game.started_at.date_naive().iter_days().take_while(move |day| *day <= last)
            })
            .collect();
        Played {
            match_ids: outcomes.iter().map(|game| game.match_id.to_string()).collect(),
            days: days.iter().map(NaiveDate::to_string).collect(),
        }
    }

    /// ` AND …`, of a roll-up of days.
    fn conditions(&self) -> Sql {
        Sql::new(" AND match_id IN (SELECT toUUID(arrayJoin(?))) AND day IN ? AND NOT bots")
            .bind(self.match_ids.clone())
            .bind(self.days.clone())
    }

    /// A row for each player of each game. Served by the match index of `player_match_totals`.
    fn by_game(&self) -> Sql {
        Sql::new("SELECT ")
            .text(&canonical("played.player_id"))
            .text(
                " AS who, match_id, max(played.side_told).team AS side, sum(played.kills) AS kills, \
                 sum(played.deaths) AS deaths, sum(played.headshots) AS headshots, \
                 toFloat64(sum(played.damage)) AS damage, \
                 if(sum(played.shots_fired) > 0, sum(played.shots_fired), sum(played.summary_shots_fired)) AS fired, \
                 if(sum(played.shots_fired) > 0, sum(played.shots_hit), sum(played.summary_shots_hit)) AS hit, \
                 sum(played.suicides) AS suicides, sum(played.team_kills) AS team_kills, \
                 ifNull(toInt64(max(played.last_level_ms)) - toInt64(min(played.first_level_ms)), \
                 dateDiff('millisecond', min(played.first_seen), max(played.last_seen))) AS milliseconds \
                 FROM player_match_totals AS played WHERE 1",
            )
            .then(self.conditions())
            .text(" GROUP BY who, match_id")
    }

    fn streaks(&self) -> Sql {
        killstreaks_by_match(COMBAT.daily, self.conditions())
    }
}

impl Stats {
    /// The games that reported themselves to a tournament.
    pub async fn bracket_games(&self, tournament_id: Uuid) -> Result<BracketGames, ApiError> {
        let mut games = self.games_of_tournament(tournament_id).await?;
        let more_games = games.len() > MOST_GAMES;
        games.truncate(MOST_GAMES);
        let games = games.into_iter().map(|(match_id, key)| BracketGame { match_id, key }).collect();
        Ok(BracketGames { games, more_games })
    }

    /// A page of the players of these games, and the records of all.
    pub async fn tournament_figures(
        &self,
        games: &BracketGames,
        sort: TournamentSort,
        paging: Paging,
    ) -> Result<TournamentFigures, ApiError> {
        let keys: BTreeMap<Uuid, &str> =
            games.games.iter().map(|game| (game.match_id, game.key.as_str())).collect();
        let match_ids: Vec<String> = keys.keys().map(Uuid::to_string).collect();
        let outcomes = match match_ids.is_empty() {
            true => Vec::new(),
            false => self.outcomes_of(&match_ids).await?,
        };
        let mut figures = TournamentFigures {
            page: paging.page,
            limit: paging.limit,
            total: 0,
            stat: sort.as_str(),
            games: outcomes.len(),
            matches: outcomes
                .iter()
                .filter_map(|game| keys.get(&game.match_id))
                .collect::<BTreeSet<_>>()
                .len(),
            more_games: games.more_games,
            kills: 0,
            headshots: 0,
            damage: 0.0,
            duration_seconds: outcomes.iter().map(|game| game.duration_seconds).sum(),
            records: Vec::new(),
            players: Vec::new(),
        };
        if outcomes.is_empty() {
            return Ok(figures);
        }
        let played = Played::of(&outcomes);
        let (rows, totals, streaks) = tokio::try_join!(
            self.players_of_games(&played, sort, paging),
            self.totals_of_games(&played),
            self.longest_streak(&played),
        )?;
        let TotalsRow { players, kills, headshots, damage, most_kills, most_headshots, most_damage } = totals;
        (figures.total, figures.kills, figures.headshots) = (players, kills, headshots);
        figures.damage = round(damage, 3);
        let bests = [
            ("kills", most_kills),
            ("headshots", most_headshots),
            ("damage", most_damage),
            ("killstreak", streaks.map(|row| row.longest).unwrap_or_default()),
        ];
        let ids = rows.iter().map(|row| &row.player_id).chain(bests.iter().map(|(_, best)| &best.0));
        let ids: BTreeSet<&String> = ids.filter(|id| !id.is_empty()).collect();
        let names = self.player_names(ids.into_iter().cloned().collect()).await?;
        let game_of = |match_id: Uuid| {
            let game = outcomes.iter().find(|game| game.match_id == match_id)?;
            Some((
                keys.get(&match_id)?.to_string(),
                Some(game.map_name.clone()).filter(|map| !map.is_empty()),
            ))
        };
        for (record, (player_id, match_id, value)) in bests {
            let Some(match_id) = Uuid::parse_str(&match_id).ok().filter(|_| value > 0.0) else { continue };
            let Some((key, map_name)) = game_of(match_id) else { continue };
            let name = names.of(&player_id);
            figures.records.push(TournamentRecord {
                record,
                value: round(value, 3),
                player_id: Some(player_id),
                player_name: Some(name.plain),
                player_name_raw: Some(name.raw),
                match_id,
                key,
                map_name,
            });
        }
        let longest =
            outcomes.iter().max_by_key(|game| (game.duration_seconds, std::cmp::Reverse(game.match_id)));
        if let Some(longest) = longest.filter(|game| game.duration_seconds > 0)
            && let Some((key, map_name)) = game_of(longest.match_id)
        {
            figures.records.push(TournamentRecord {
                record: "longest_game",
                value: longest.duration_seconds as f64,
                player_id: None,
                player_name: None,
                player_name_raw: None,
                match_id: longest.match_id,
                key,
                map_name,
            });
        }
        let first_rank = paging.offset() + 1;
        let player = |(rank, row): (u64, PlayerRow)| {
            let name = names.of(&row.player_id);
            TournamentPlayer {
                rank,
                player_name: name.plain,
                player_name_raw: name.raw,
                guest: is_guest_id(&row.player_id),
                participant_id: None,
                kills: row.kills,
                deaths: row.deaths,
                kd_ratio: kd_ratio(row.kills, row.deaths),
                headshots: row.headshots,
                headshot_percent: percent(row.headshots, row.kills),
                accuracy: percent(row.shots_hit, row.shots_fired),
                damage: round(row.damage, 3),
                suicides: row.suicides,
                team_kills: row.team_kills,
                best_killstreak: row.best_killstreak,
                mvps: row.mvps,
                games_played: row.games_played,
                games_won: row.games_won,
                win_rate: percent(row.games_won, row.games_played),
                playtime_seconds: row.playtime_seconds,
                player_id: row.player_id,
            }
        };
        figures.players = (first_rank..).zip(rows).map(player).collect();
        Ok(figures)
    }

    async fn players_of_games(
        &self,
        played: &Played,
        sort: TournamentSort,
        paging: Paging,
    ) -> Result<Vec<PlayerRow>, ApiError> {
        let sql = Sql::new(
            "SELECT * FROM (\
             SELECT ranked.who AS player_id, sum(ranked.kills) AS kills, sum(ranked.deaths) AS deaths, \
             sum(ranked.headshots) AS headshots, sum(ranked.damage) AS damage, sum(ranked.fired) AS shots_fired, \
             sum(ranked.hit) AS shots_hit, sum(ranked.suicides) AS suicides, sum(ranked.team_kills) AS team_kills, \
             max(streaks.best_in_match) AS best_killstreak, countIf(ranked.place = 1 AND ranked.kills > 0) AS mvps, \
             count() AS games_played, \
             countIf(decided.winner IN ('allies', 'axis') AND ranked.side = decided.winner) AS games_won, \
             toUInt64(round(sum(ranked.milliseconds) / 1000)) AS playtime_seconds FROM (\
             SELECT *, row_number() OVER (PARTITION BY match_id ORDER BY kills DESC, deaths ASC, damage DESC, who ASC) \
             AS place FROM (",
        )
        .then(played.by_game())
        .text(")) AS ranked LEFT JOIN (")
        .then(played.streaks())
        .text(
            ") AS streaks ON streaks.who = ranked.who AND streaks.match_id = ranked.match_id LEFT JOIN (\
             SELECT match_id, max(winner_told).team AS winner FROM match_totals \
             WHERE match_id IN (SELECT toUUID(arrayJoin(?))) GROUP BY match_id) AS decided \
             ON decided.match_id = ranked.match_id GROUP BY player_id) ORDER BY ",
        )
        .bind(played.match_ids.clone())
        .text(sort.order())
        .text(" DESC, kills DESC, player_id ASC LIMIT ? OFFSET ?")
        .bind(i64::from(paging.limit))
        .bind(paging.offset() as i64);
        self.rows(sql).await
    }

    async fn totals_of_games(&self, played: &Played) -> Result<TotalsRow, ApiError> {
        let best = |of: &str| {
            format!(
                "argMax((who, toString(match_id), toFloat64({of})), ({of}, -toInt64(deaths), match_id, who))"
            )
        };
        let columns = format!(
            "SELECT uniqExact(who) AS players, sum(game.kills) AS kills, sum(game.headshots) AS headshots, \
             sum(game.damage) AS damage, {} AS most_kills, {} AS most_headshots, {} AS most_damage FROM (",
            best("game.kills"),
            best("game.headshots"),
            best("game.damage"),
        );
        self.row(Sql::new(&columns).then(played.by_game()).text(") AS game")).await
    }

    async fn longest_streak(&self, played: &Played) -> Result<Option<StreakRow>, ApiError> {
        let sql = Sql::new("SELECT (who, toString(match_id), toFloat64(best_in_match)) AS longest FROM (")
            .then(played.streaks())
            .text(") ORDER BY best_in_match DESC, match_id, who LIMIT 1");
        Ok(self.rows(sql).await?.into_iter().next())
    }
}
