-- Who played on a map, and what was done there by which weapon, for questions that name neither days nor servers: as few rows as can
-- tell it. Filled before their views exist, as in 0013; the statements may be repeated.

-- Different players on each map.
CREATE TABLE IF NOT EXISTS map_players
(
    map_name LowCardinality(String),
    player_id String,
    bots Bool,
    kills SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (map_name, player_id, bots)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS map_players_mv;

TRUNCATE TABLE map_players;

INSERT INTO map_players (map_name, player_id, bots, kills)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    map_name,
    player_id,
    bots,
    sum(player_stats_daily.kills) AS kills
FROM player_stats_daily
GROUP BY map_name, player_id, bots;

CREATE MATERIALIZED VIEW IF NOT EXISTS map_players_mv TO map_players AS
SELECT
    map_name,
    player_id,
    bots,
    sum(player_stats_daily.kills) AS kills
FROM player_stats_daily
GROUP BY map_name, player_id, bots;

-- Weapons in all hands: those of a map, the maps of one, and which were ever used.
CREATE TABLE IF NOT EXISTS map_weapons
(
    weapon LowCardinality(String),
    map_name LowCardinality(String),
    gametype LowCardinality(String),
    team LowCardinality(String),
    bots Bool,
    kills SimpleAggregateFunction(sum, UInt64),
    headshots SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (weapon, map_name, gametype, team, bots)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS map_weapons_mv;

TRUNCATE TABLE map_weapons;

INSERT INTO map_weapons (weapon, map_name, gametype, team, bots, kills, headshots)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    weapon,
    map_name,
    gametype,
    team,
    bots,
    sum(weapon_stats.kills) AS kills,
    sum(weapon_stats.headshots) AS headshots
FROM weapon_stats
GROUP BY weapon, map_name, gametype, team, bots;

CREATE MATERIALIZED VIEW IF NOT EXISTS map_weapons_mv TO map_weapons AS
SELECT
    weapon,
    map_name,
    gametype,
    team,
    bots,
    sum(weapon_stats.kills) AS kills,
    sum(weapon_stats.headshots) AS headshots
FROM weapon_stats
GROUP BY weapon, map_name, gametype, team, bots;

-- Covered by `map_weapons`. The table stays as it is for nodes of the version before, which read it.
DROP VIEW IF EXISTS weapons_used_mv;
