-- Sums of all days, for questions that name none: each table is filled from a roll-up of days (0002 and later) by a view on it,
-- in the same insert and under the same deduplication token.
--
-- Not partitioned: a year of days is 365 parts, of which each has to be opened and has fewer rows than one granule, so a key
-- finds nothing in them. Here a key finds granules of 512 rows. Whatever day an event is of, it changes these sums, so
-- they are recounted as a whole: from the days, which outlive `raw_events`.
--
-- The statements may be repeated, as in 0006: a table is filled before its view exists.

-- What boards over everything add up, and a player's page.
CREATE TABLE IF NOT EXISTS player_totals
(
    player_id String,
    server_id UUID,
    bots Bool,
    events SimpleAggregateFunction(sum, UInt64),
    kills SimpleAggregateFunction(sum, UInt64),
    deaths SimpleAggregateFunction(sum, UInt64),
    headshots SimpleAggregateFunction(sum, UInt64),
    suicides SimpleAggregateFunction(sum, UInt64),
    team_kills SimpleAggregateFunction(sum, UInt64),
    damage SimpleAggregateFunction(sum, Decimal(38, 3)),
    damage_taken SimpleAggregateFunction(sum, Decimal(38, 3)),
    shots_fired SimpleAggregateFunction(sum, UInt64),
    shots_hit SimpleAggregateFunction(sum, UInt64),
    summary_shots_fired SimpleAggregateFunction(sum, UInt64),
    summary_shots_hit SimpleAggregateFunction(sum, UInt64),
    distance SimpleAggregateFunction(sum, Decimal(38, 3)),
    jumps SimpleAggregateFunction(sum, UInt64),
    first_seen SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    last_seen SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (player_id, server_id, bots)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS player_totals_mv;

TRUNCATE TABLE player_totals;

INSERT INTO player_totals (player_id, server_id, bots, events, kills, deaths, headshots, suicides, team_kills, damage, damage_taken, shots_fired, shots_hit, summary_shots_fired, summary_shots_hit, distance, jumps, first_seen, last_seen)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    player_id,
    server_id,
    bots,
    sum(player_stats_daily.events) AS events,
    sum(player_stats_daily.kills) AS kills,
    sum(player_stats_daily.deaths) AS deaths,
    sum(player_stats_daily.headshots) AS headshots,
    sum(player_stats_daily.suicides) AS suicides,
    sum(player_stats_daily.team_kills) AS team_kills,
    sum(player_stats_daily.damage) AS damage,
    sum(player_stats_daily.damage_taken) AS damage_taken,
    sum(player_stats_daily.shots_fired) AS shots_fired,
    sum(player_stats_daily.shots_hit) AS shots_hit,
    sum(player_stats_daily.summary_shots_fired) AS summary_shots_fired,
    sum(player_stats_daily.summary_shots_hit) AS summary_shots_hit,
    sum(player_stats_daily.distance) AS distance,
    sum(player_stats_daily.jumps) AS jumps,
    min(player_stats_daily.first_seen) AS first_seen,
    max(player_stats_daily.last_seen) AS last_seen
FROM player_stats_daily
GROUP BY player_id, server_id, bots;

CREATE MATERIALIZED VIEW IF NOT EXISTS player_totals_mv TO player_totals AS
SELECT
    player_id,
    server_id,
    bots,
    sum(player_stats_daily.events) AS events,
    sum(player_stats_daily.kills) AS kills,
    sum(player_stats_daily.deaths) AS deaths,
    sum(player_stats_daily.headshots) AS headshots,
    sum(player_stats_daily.suicides) AS suicides,
    sum(player_stats_daily.team_kills) AS team_kills,
    sum(player_stats_daily.damage) AS damage,
    sum(player_stats_daily.damage_taken) AS damage_taken,
    sum(player_stats_daily.shots_fired) AS shots_fired,
    sum(player_stats_daily.shots_hit) AS shots_hit,
    sum(player_stats_daily.summary_shots_fired) AS summary_shots_fired,
    sum(player_stats_daily.summary_shots_hit) AS summary_shots_hit,
    sum(player_stats_daily.distance) AS distance,
    sum(player_stats_daily.jumps) AS jumps,
    min(player_stats_daily.first_seen) AS first_seen,
    max(player_stats_daily.last_seen) AS last_seen
FROM player_stats_daily
GROUP BY player_id, server_id, bots;

-- The same told apart by map, game type and side, for whoever asks for one of these.
CREATE TABLE IF NOT EXISTS player_map_totals
(
    player_id String,
    server_id UUID,
    map_name LowCardinality(String),
    gametype LowCardinality(String),
    team LowCardinality(String),
    bots Bool,
    events SimpleAggregateFunction(sum, UInt64),
    kills SimpleAggregateFunction(sum, UInt64),
    deaths SimpleAggregateFunction(sum, UInt64),
    headshots SimpleAggregateFunction(sum, UInt64),
    suicides SimpleAggregateFunction(sum, UInt64),
    team_kills SimpleAggregateFunction(sum, UInt64),
    damage SimpleAggregateFunction(sum, Decimal(38, 3)),
    damage_taken SimpleAggregateFunction(sum, Decimal(38, 3)),
    shots_fired SimpleAggregateFunction(sum, UInt64),
    shots_hit SimpleAggregateFunction(sum, UInt64),
    summary_shots_fired SimpleAggregateFunction(sum, UInt64),
    summary_shots_hit SimpleAggregateFunction(sum, UInt64),
    distance SimpleAggregateFunction(sum, Decimal(38, 3)),
    jumps SimpleAggregateFunction(sum, UInt64),
    first_seen SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    last_seen SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (player_id, server_id, map_name, gametype, team, bots)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS player_map_totals_mv;

TRUNCATE TABLE player_map_totals;

INSERT INTO player_map_totals (player_id, server_id, map_name, gametype, team, bots, events, kills, deaths, headshots, suicides, team_kills, damage, damage_taken, shots_fired, shots_hit, summary_shots_fired, summary_shots_hit, distance, jumps, first_seen, last_seen)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    player_id,
    server_id,
    map_name,
    gametype,
    team,
    bots,
    sum(player_stats_daily.events) AS events,
    sum(player_stats_daily.kills) AS kills,
    sum(player_stats_daily.deaths) AS deaths,
    sum(player_stats_daily.headshots) AS headshots,
    sum(player_stats_daily.suicides) AS suicides,
    sum(player_stats_daily.team_kills) AS team_kills,
    sum(player_stats_daily.damage) AS damage,
    sum(player_stats_daily.damage_taken) AS damage_taken,
    sum(player_stats_daily.shots_fired) AS shots_fired,
    sum(player_stats_daily.shots_hit) AS shots_hit,
    sum(player_stats_daily.summary_shots_fired) AS summary_shots_fired,
    sum(player_stats_daily.summary_shots_hit) AS summary_shots_hit,
    sum(player_stats_daily.distance) AS distance,
    sum(player_stats_daily.jumps) AS jumps,
    min(player_stats_daily.first_seen) AS first_seen,
    max(player_stats_daily.last_seen) AS last_seen
FROM player_stats_daily
GROUP BY player_id, server_id, map_name, gametype, team, bots;

CREATE MATERIALIZED VIEW IF NOT EXISTS player_map_totals_mv TO player_map_totals AS
SELECT
    player_id,
    server_id,
    map_name,
    gametype,
    team,
    bots,
    sum(player_stats_daily.events) AS events,
    sum(player_stats_daily.kills) AS kills,
    sum(player_stats_daily.deaths) AS deaths,
    sum(player_stats_daily.headshots) AS headshots,
    sum(player_stats_daily.suicides) AS suicides,
    sum(player_stats_daily.team_kills) AS team_kills,
    sum(player_stats_daily.damage) AS damage,
    sum(player_stats_daily.damage_taken) AS damage_taken,
    sum(player_stats_daily.shots_fired) AS shots_fired,
    sum(player_stats_daily.shots_hit) AS shots_hit,
    sum(player_stats_daily.summary_shots_fired) AS summary_shots_fired,
    sum(player_stats_daily.summary_shots_hit) AS summary_shots_hit,
    sum(player_stats_daily.distance) AS distance,
    sum(player_stats_daily.jumps) AS jumps,
    min(player_stats_daily.first_seen) AS first_seen,
    max(player_stats_daily.last_seen) AS last_seen
FROM player_stats_daily
GROUP BY player_id, server_id, map_name, gametype, team, bots;

-- Each player day by day: their form, and on which days they were seen, so that further questions look into those days alone.
CREATE TABLE IF NOT EXISTS player_days
(
    player_id String,
    day Date,
    server_id UUID,
    bots Bool,
    kills SimpleAggregateFunction(sum, UInt64),
    deaths SimpleAggregateFunction(sum, UInt64),
    headshots SimpleAggregateFunction(sum, UInt64),
    damage SimpleAggregateFunction(sum, Decimal(38, 3)),
    shots_fired SimpleAggregateFunction(sum, UInt64),
    shots_hit SimpleAggregateFunction(sum, UInt64),
    summary_shots_fired SimpleAggregateFunction(sum, UInt64),
    summary_shots_hit SimpleAggregateFunction(sum, UInt64),
    first_seen SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    last_seen SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (player_id, day, server_id, bots)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS player_days_mv;

TRUNCATE TABLE player_days;

INSERT INTO player_days (player_id, day, server_id, bots, kills, deaths, headshots, damage, shots_fired, shots_hit, summary_shots_fired, summary_shots_hit, first_seen, last_seen)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    player_id,
    day,
    server_id,
    bots,
    sum(player_stats_daily.kills) AS kills,
    sum(player_stats_daily.deaths) AS deaths,
    sum(player_stats_daily.headshots) AS headshots,
    sum(player_stats_daily.damage) AS damage,
    sum(player_stats_daily.shots_fired) AS shots_fired,
    sum(player_stats_daily.shots_hit) AS shots_hit,
    sum(player_stats_daily.summary_shots_fired) AS summary_shots_fired,
    sum(player_stats_daily.summary_shots_hit) AS summary_shots_hit,
    min(player_stats_daily.first_seen) AS first_seen,
    max(player_stats_daily.last_seen) AS last_seen
FROM player_stats_daily
GROUP BY player_id, day, server_id, bots;

CREATE MATERIALIZED VIEW IF NOT EXISTS player_days_mv TO player_days AS
SELECT
    player_id,
    day,
    server_id,
    bots,
    sum(player_stats_daily.kills) AS kills,
    sum(player_stats_daily.deaths) AS deaths,
    sum(player_stats_daily.headshots) AS headshots,
    sum(player_stats_daily.damage) AS damage,
    sum(player_stats_daily.shots_fired) AS shots_fired,
    sum(player_stats_daily.shots_hit) AS shots_hit,
    sum(player_stats_daily.summary_shots_fired) AS summary_shots_fired,
    sum(player_stats_daily.summary_shots_hit) AS summary_shots_hit,
    min(player_stats_daily.first_seen) AS first_seen,
    max(player_stats_daily.last_seen) AS last_seen
FROM player_stats_daily
GROUP BY player_id, day, server_id, bots;

-- What each weapon did in each player's hands. There are few weapons before the player: one of either is found.
CREATE TABLE IF NOT EXISTS weapon_totals
(
    weapon LowCardinality(String),
    player_id String,
    server_id UUID,
    bots Bool,
    kills SimpleAggregateFunction(sum, UInt64),
    deaths SimpleAggregateFunction(sum, UInt64),
    headshots SimpleAggregateFunction(sum, UInt64),
    shots_fired SimpleAggregateFunction(sum, UInt64),
    shots_hit SimpleAggregateFunction(sum, UInt64),
    damage SimpleAggregateFunction(sum, Decimal(38, 3)),
    last_seen SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (weapon, player_id, server_id, bots)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS weapon_totals_mv;

TRUNCATE TABLE weapon_totals;

INSERT INTO weapon_totals (weapon, player_id, server_id, bots, kills, deaths, headshots, shots_fired, shots_hit, damage, last_seen)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    weapon,
    player_id,
    server_id,
    bots,
    sum(weapon_stats.kills) AS kills,
    sum(weapon_stats.deaths) AS deaths,
    sum(weapon_stats.headshots) AS headshots,
    sum(weapon_stats.shots_fired) AS shots_fired,
    sum(weapon_stats.shots_hit) AS shots_hit,
    sum(weapon_stats.damage) AS damage,
    max(weapon_stats.last_seen) AS last_seen
FROM weapon_stats
GROUP BY weapon, player_id, server_id, bots;

CREATE MATERIALIZED VIEW IF NOT EXISTS weapon_totals_mv TO weapon_totals AS
SELECT
    weapon,
    player_id,
    server_id,
    bots,
    sum(weapon_stats.kills) AS kills,
    sum(weapon_stats.deaths) AS deaths,
    sum(weapon_stats.headshots) AS headshots,
    sum(weapon_stats.shots_fired) AS shots_fired,
    sum(weapon_stats.shots_hit) AS shots_hit,
    sum(weapon_stats.damage) AS damage,
    max(weapon_stats.last_seen) AS last_seen
FROM weapon_stats
GROUP BY weapon, player_id, server_id, bots;

CREATE TABLE IF NOT EXISTS weapon_map_totals
(
    weapon LowCardinality(String),
    player_id String,
    server_id UUID,
    map_name LowCardinality(String),
    gametype LowCardinality(String),
    team LowCardinality(String),
    bots Bool,
    kills SimpleAggregateFunction(sum, UInt64),
    deaths SimpleAggregateFunction(sum, UInt64),
    headshots SimpleAggregateFunction(sum, UInt64),
    shots_fired SimpleAggregateFunction(sum, UInt64),
    shots_hit SimpleAggregateFunction(sum, UInt64),
    damage SimpleAggregateFunction(sum, Decimal(38, 3)),
    last_seen SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (weapon, player_id, server_id, map_name, gametype, team, bots)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS weapon_map_totals_mv;

TRUNCATE TABLE weapon_map_totals;

INSERT INTO weapon_map_totals (weapon, player_id, server_id, map_name, gametype, team, bots, kills, deaths, headshots, shots_fired, shots_hit, damage, last_seen)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    weapon,
    player_id,
    server_id,
    map_name,
    gametype,
    team,
    bots,
    sum(weapon_stats.kills) AS kills,
    sum(weapon_stats.deaths) AS deaths,
    sum(weapon_stats.headshots) AS headshots,
    sum(weapon_stats.shots_fired) AS shots_fired,
    sum(weapon_stats.shots_hit) AS shots_hit,
    sum(weapon_stats.damage) AS damage,
    max(weapon_stats.last_seen) AS last_seen
FROM weapon_stats
GROUP BY weapon, player_id, server_id, map_name, gametype, team, bots;

CREATE MATERIALIZED VIEW IF NOT EXISTS weapon_map_totals_mv TO weapon_map_totals AS
SELECT
    weapon,
    player_id,
    server_id,
    map_name,
    gametype,
    team,
    bots,
    sum(weapon_stats.kills) AS kills,
    sum(weapon_stats.deaths) AS deaths,
    sum(weapon_stats.headshots) AS headshots,
    sum(weapon_stats.shots_fired) AS shots_fired,
    sum(weapon_stats.shots_hit) AS shots_hit,
    sum(weapon_stats.damage) AS damage,
    max(weapon_stats.last_seen) AS last_seen
FROM weapon_stats
GROUP BY weapon, player_id, server_id, map_name, gametype, team, bots;

-- The weapons that were ever used: a row each.
CREATE TABLE IF NOT EXISTS weapons_used
(
    weapon LowCardinality(String),
    last_seen SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (weapon)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS weapons_used_mv;

TRUNCATE TABLE weapons_used;

INSERT INTO weapons_used (weapon, last_seen)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    weapon,
    max(weapon_stats.last_seen) AS last_seen
FROM weapon_stats
GROUP BY weapon;

CREATE MATERIALIZED VIEW IF NOT EXISTS weapons_used_mv TO weapons_used AS
SELECT
    weapon,
    max(weapon_stats.last_seen) AS last_seen
FROM weapon_stats
GROUP BY weapon;

-- Every name of a player, whatever the days.
CREATE TABLE IF NOT EXISTS player_aliases
(
    player_id String,
    player_name String,
    name_key SimpleAggregateFunction(max, String),
    first_seen SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    last_seen SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    events SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (player_id, player_name)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS player_aliases_mv;

TRUNCATE TABLE player_aliases;

INSERT INTO player_aliases (player_id, player_name, name_key, first_seen, last_seen, events)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    player_id,
    player_name,
    max(player_names.name_key) AS name_key,
    min(player_names.first_seen) AS first_seen,
    max(player_names.last_seen) AS last_seen,
    sum(player_names.events) AS events
FROM player_names
GROUP BY player_id, player_name;

CREATE MATERIALIZED VIEW IF NOT EXISTS player_aliases_mv TO player_aliases AS
SELECT
    player_id,
    player_name,
    max(player_names.name_key) AS name_key,
    min(player_names.first_seen) AS first_seen,
    max(player_names.last_seen) AS last_seen,
    sum(player_names.events) AS events
FROM player_names
GROUP BY player_id, player_name;

-- A player's totals in one match, over midnight too.
CREATE TABLE IF NOT EXISTS player_matches
(
    player_id String,
    match_id UUID,
    server_id UUID,
    bots Bool,
    map_name SimpleAggregateFunction(max, String),
    gametype SimpleAggregateFunction(max, String),
    team AggregateFunction(argMax, String, DateTime64(3, 'UTC')),
    kills SimpleAggregateFunction(sum, UInt64),
    deaths SimpleAggregateFunction(sum, UInt64),
    headshots SimpleAggregateFunction(sum, UInt64),
    suicides SimpleAggregateFunction(sum, UInt64),
    team_kills SimpleAggregateFunction(sum, UInt64),
    damage SimpleAggregateFunction(sum, Decimal(38, 3)),
    first_seen SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    last_seen SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    first_level_ms SimpleAggregateFunction(min, Nullable(UInt32)),
    last_level_ms SimpleAggregateFunction(max, Nullable(UInt32))
)
ENGINE = AggregatingMergeTree
ORDER BY (player_id, match_id, server_id, bots)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS player_matches_mv;

TRUNCATE TABLE player_matches;

INSERT INTO player_matches (player_id, match_id, server_id, bots, map_name, gametype, team, kills, deaths, headshots, suicides, team_kills, damage, first_seen, last_seen, first_level_ms, last_level_ms)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    player_id,
    match_id,
    server_id,
    bots,
    max(player_match_totals.map_name) AS map_name,
    max(player_match_totals.gametype) AS gametype,
    argMaxMergeState(player_match_totals.team) AS team,
    sum(player_match_totals.kills) AS kills,
    sum(player_match_totals.deaths) AS deaths,
    sum(player_match_totals.headshots) AS headshots,
    sum(player_match_totals.suicides) AS suicides,
    sum(player_match_totals.team_kills) AS team_kills,
    sum(player_match_totals.damage) AS damage,
    min(player_match_totals.first_seen) AS first_seen,
    max(player_match_totals.last_seen) AS last_seen,
    min(player_match_totals.first_level_ms) AS first_level_ms,
    max(player_match_totals.last_level_ms) AS last_level_ms
FROM player_match_totals
GROUP BY player_id, match_id, server_id, bots;

CREATE MATERIALIZED VIEW IF NOT EXISTS player_matches_mv TO player_matches AS
SELECT
    player_id,
    match_id,
    server_id,
    bots,
    max(player_match_totals.map_name) AS map_name,
    max(player_match_totals.gametype) AS gametype,
    argMaxMergeState(player_match_totals.team) AS team,
    sum(player_match_totals.kills) AS kills,
    sum(player_match_totals.deaths) AS deaths,
    sum(player_match_totals.headshots) AS headshots,
    sum(player_match_totals.suicides) AS suicides,
    sum(player_match_totals.team_kills) AS team_kills,
    sum(player_match_totals.damage) AS damage,
    min(player_match_totals.first_seen) AS first_seen,
    max(player_match_totals.last_seen) AS last_seen,
    min(player_match_totals.first_level_ms) AS first_level_ms,
    max(player_match_totals.last_level_ms) AS last_level_ms
FROM player_match_totals
GROUP BY player_id, match_id, server_id, bots;

-- One match, over midnight too.
CREATE TABLE IF NOT EXISTS match_totals
(
    match_id UUID,
    server_id UUID,
    source_match_id SimpleAggregateFunction(max, String),
    map_name SimpleAggregateFunction(max, String),
    gametype SimpleAggregateFunction(max, String),
    started_at SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    opened SimpleAggregateFunction(min, Tuple(received_ms Int64, spool_seq UInt64, spool_index UInt32)),
    updated_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    ended_at SimpleAggregateFunction(max, Nullable(DateTime64(3, 'UTC'))),
    duration SimpleAggregateFunction(max, Nullable(Float32)),
    allies_score AggregateFunction(argMax, Int32, DateTime64(3, 'UTC')),
    axis_score AggregateFunction(argMax, Int32, DateTime64(3, 'UTC')),
    winning_team AggregateFunction(argMax, String, DateTime64(3, 'UTC')),
    player_count AggregateFunction(argMax, Int32, DateTime64(3, 'UTC')),
    max_clients SimpleAggregateFunction(max, Nullable(Int32)),
    round_number SimpleAggregateFunction(max, Nullable(Int32)),
    events SimpleAggregateFunction(sum, UInt64),
    kills SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (match_id, server_id)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS match_totals_mv;

TRUNCATE TABLE match_totals;

INSERT INTO match_totals (match_id, server_id, source_match_id, map_name, gametype, started_at, opened, updated_at, ended_at, duration, allies_score, axis_score, winning_team, player_count, max_clients, round_number, events, kills)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    match_id,
    server_id,
    max(matches.source_match_id) AS source_match_id,
    max(matches.map_name) AS map_name,
    max(matches.gametype) AS gametype,
    min(matches.started_at) AS started_at,
    min(matches.opened) AS opened,
    max(matches.updated_at) AS updated_at,
    max(matches.ended_at) AS ended_at,
    max(matches.duration) AS duration,
    argMaxMergeState(matches.allies_score) AS allies_score,
    argMaxMergeState(matches.axis_score) AS axis_score,
    argMaxMergeState(matches.winning_team) AS winning_team,
    argMaxMergeState(matches.player_count) AS player_count,
    max(matches.max_clients) AS max_clients,
    max(matches.round_number) AS round_number,
    sum(matches.events) AS events,
    sum(matches.kills) AS kills
FROM matches
GROUP BY match_id, server_id;

CREATE MATERIALIZED VIEW IF NOT EXISTS match_totals_mv TO match_totals AS
SELECT
    match_id,
    server_id,
    max(matches.source_match_id) AS source_match_id,
    max(matches.map_name) AS map_name,
    max(matches.gametype) AS gametype,
    min(matches.started_at) AS started_at,
    min(matches.opened) AS opened,
    max(matches.updated_at) AS updated_at,
    max(matches.ended_at) AS ended_at,
    max(matches.duration) AS duration,
    argMaxMergeState(matches.allies_score) AS allies_score,
    argMaxMergeState(matches.axis_score) AS axis_score,
    argMaxMergeState(matches.winning_team) AS winning_team,
    argMaxMergeState(matches.player_count) AS player_count,
    max(matches.max_clients) AS max_clients,
    max(matches.round_number) AS round_number,
    sum(matches.events) AS events,
    sum(matches.kills) AS kills
FROM matches
GROUP BY match_id, server_id;

-- What a player did in all matches, as achievements measure it.
CREATE TABLE IF NOT EXISTS player_deeds
(
    player_id String,
    bots Bool,
    deed LowCardinality(String),
    word LowCardinality(String),
    kills SimpleAggregateFunction(sum, UInt64),
    deaths SimpleAggregateFunction(sum, UInt64),
    headshots SimpleAggregateFunction(sum, UInt64),
    events SimpleAggregateFunction(sum, UInt64),
    distance SimpleAggregateFunction(sum, Decimal(38, 3))
)
ENGINE = AggregatingMergeTree
ORDER BY (player_id, bots, deed, word)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS player_deeds_mv;

TRUNCATE TABLE player_deeds;

INSERT INTO player_deeds (player_id, bots, deed, word, kills, deaths, headshots, events, distance)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    player_id,
    bots,
    deed,
    word,
    sum(player_match_deeds.kills) AS kills,
    sum(player_match_deeds.deaths) AS deaths,
    sum(player_match_deeds.headshots) AS headshots,
    sum(player_match_deeds.events) AS events,
    sum(player_match_deeds.distance) AS distance
FROM player_match_deeds
GROUP BY player_id, bots, deed, word;

CREATE MATERIALIZED VIEW IF NOT EXISTS player_deeds_mv TO player_deeds AS
SELECT
    player_id,
    bots,
    deed,
    word,
    sum(player_match_deeds.kills) AS kills,
    sum(player_match_deeds.deaths) AS deaths,
    sum(player_match_deeds.headshots) AS headshots,
    sum(player_match_deeds.events) AS events,
    sum(player_match_deeds.distance) AS distance
FROM player_match_deeds
GROUP BY player_id, bots, deed, word;

-- Each kill and each death of a player, as `player_combat` has them, a match's together.
CREATE TABLE IF NOT EXISTS player_fights
(
    day Date,
    player_id String,
    match_id UUID,
    server_id UUID,
    map_name LowCardinality(String),
    gametype LowCardinality(String),
    team LowCardinality(String),
    bots Bool,
    level_time Nullable(Float64),
    event_at DateTime64(3, 'UTC'),
    spool_seq UInt64,
    spool_index UInt32,
    is_kill Bool
)
ENGINE = MergeTree
ORDER BY (player_id, match_id, event_at, spool_seq, spool_index)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS player_fights_mv;

TRUNCATE TABLE player_fights;

INSERT INTO player_fights (day, player_id, match_id, server_id, map_name, gametype, team, bots, level_time, event_at, spool_seq, spool_index, is_kill)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    day,
    player_id,
    match_id,
    server_id,
    map_name,
    gametype,
    team,
    bots,
    level_time,
    event_at,
    spool_seq,
    spool_index,
    is_kill
FROM player_combat;

CREATE MATERIALIZED VIEW IF NOT EXISTS player_fights_mv TO player_fights AS
SELECT
    day,
    player_id,
    match_id,
    server_id,
    map_name,
    gametype,
    team,
    bots,
    level_time,
    event_at,
    spool_seq,
    spool_index,
    is_kill
FROM player_combat;

-- Who killed whom, where it hit.
CREATE TABLE IF NOT EXISTS player_rivals
(
    player_id String,
    target_id String,
    hitloc LowCardinality(String),
    bots Bool,
    kills SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (player_id, target_id, hitloc, bots)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS player_rivals_mv;

TRUNCATE TABLE player_rivals;

INSERT INTO player_rivals (player_id, target_id, hitloc, bots, kills)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    player_id,
    target_id,
    hitloc,
    bots,
    sum(player_rivals_daily.kills) AS kills
FROM player_rivals_daily
GROUP BY player_id, target_id, hitloc, bots;

CREATE MATERIALIZED VIEW IF NOT EXISTS player_rivals_mv TO player_rivals AS
SELECT
    player_id,
    target_id,
    hitloc,
    bots,
    sum(player_rivals_daily.kills) AS kills
FROM player_rivals_daily
GROUP BY player_id, target_id, hitloc, bots;

-- Who was killed by whom: the same from the other end.
CREATE TABLE IF NOT EXISTS player_killers
(
    target_id String,
    player_id String,
    bots Bool,
    kills SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (target_id, player_id, bots)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS player_killers_mv;

TRUNCATE TABLE player_killers;

INSERT INTO player_killers (target_id, player_id, bots, kills)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    target_id,
    player_id,
    bots,
    sum(player_rivals_daily.kills) AS kills
FROM player_rivals_daily
GROUP BY target_id, player_id, bots;

CREATE MATERIALIZED VIEW IF NOT EXISTS player_killers_mv TO player_killers AS
SELECT
    target_id,
    player_id,
    bots,
    sum(player_rivals_daily.kills) AS kills
FROM player_rivals_daily
GROUP BY target_id, player_id, bots;

-- How players stood when they killed and died.
CREATE TABLE IF NOT EXISTS player_stances
(
    player_id String,
    stance LowCardinality(String),
    server_id UUID,
    map_name LowCardinality(String),
    gametype LowCardinality(String),
    team LowCardinality(String),
    bots Bool,
    kills SimpleAggregateFunction(sum, UInt64),
    deaths SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (player_id, stance, server_id, map_name, gametype, team, bots)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS player_stances_mv;

TRUNCATE TABLE player_stances;

INSERT INTO player_stances (player_id, stance, server_id, map_name, gametype, team, bots, kills, deaths)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    player_id,
    stance,
    server_id,
    map_name,
    gametype,
    team,
    bots,
    sum(player_stances_daily.kills) AS kills,
    sum(player_stances_daily.deaths) AS deaths
FROM player_stances_daily
GROUP BY player_id, stance, server_id, map_name, gametype, team, bots;

CREATE MATERIALIZED VIEW IF NOT EXISTS player_stances_mv TO player_stances AS
SELECT
    player_id,
    stance,
    server_id,
    map_name,
    gametype,
    team,
    bots,
    sum(player_stances_daily.kills) AS kills,
    sum(player_stances_daily.deaths) AS deaths
FROM player_stances_daily
GROUP BY player_id, stance, server_id, map_name, gametype, team, bots;

-- Which kill of a match was its first, over midnight too.
CREATE TABLE IF NOT EXISTS first_kills
(
    match_id UUID,
    server_id UUID,
    first SimpleAggregateFunction(min, Tuple(level_ms Int64, event_at DateTime64(3, 'UTC'), spool_seq UInt64, spool_index UInt32, player_id String, bots Bool))
)
ENGINE = AggregatingMergeTree
ORDER BY (match_id, server_id)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS first_kills_mv;

TRUNCATE TABLE first_kills;

INSERT INTO first_kills (match_id, server_id, first)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    match_id,
    server_id,
    min(match_first_kills.first) AS first
FROM match_first_kills
GROUP BY match_id, server_id;

CREATE MATERIALIZED VIEW IF NOT EXISTS first_kills_mv TO first_kills AS
SELECT
    match_id,
    server_id,
    min(match_first_kills.first) AS first
FROM match_first_kills
GROUP BY match_id, server_id;

-- How far away victims of a weapon stood, in all hands.
CREATE TABLE IF NOT EXISTS weapon_ranges
(
    weapon LowCardinality(String),
    bots Bool,
    metres UInt16,
    kills SimpleAggregateFunction(sum, UInt64),
    distance SimpleAggregateFunction(sum, Decimal(38, 3)),
    longest SimpleAggregateFunction(max, Decimal(18, 3))
)
ENGINE = AggregatingMergeTree
ORDER BY (weapon, bots, metres)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS weapon_ranges_mv;

TRUNCATE TABLE weapon_ranges;

INSERT INTO weapon_ranges (weapon, bots, metres, kills, distance, longest)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    weapon,
    bots,
    metres,
    sum(kill_distances.kills) AS kills,
    sum(kill_distances.distance) AS distance,
    max(kill_distances.longest) AS longest
FROM kill_distances
GROUP BY weapon, bots, metres;

CREATE MATERIALIZED VIEW IF NOT EXISTS weapon_ranges_mv TO weapon_ranges AS
SELECT
    weapon,
    bots,
    metres,
    sum(kill_distances.kills) AS kills,
    sum(kill_distances.distance) AS distance,
    max(kill_distances.longest) AS longest
FROM kill_distances
GROUP BY weapon, bots, metres;

-- How far away victims of a player stood.
CREATE TABLE IF NOT EXISTS player_ranges
(
    player_id String,
    weapon LowCardinality(String),
    bots Bool,
    kills SimpleAggregateFunction(sum, UInt64),
    distance SimpleAggregateFunction(sum, Decimal(38, 3)),
    longest SimpleAggregateFunction(max, Decimal(18, 3))
)
ENGINE = AggregatingMergeTree
ORDER BY (player_id, weapon, bots)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS player_ranges_mv;

TRUNCATE TABLE player_ranges;

INSERT INTO player_ranges (player_id, weapon, bots, kills, distance, longest)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    player_id,
    weapon,
    bots,
    sum(kill_distances.kills) AS kills,
    sum(kill_distances.distance) AS distance,
    max(kill_distances.longest) AS longest
FROM kill_distances
GROUP BY player_id, weapon, bots;

CREATE MATERIALIZED VIEW IF NOT EXISTS player_ranges_mv TO player_ranges AS
SELECT
    player_id,
    weapon,
    bots,
    sum(kill_distances.kills) AS kills,
    sum(kill_distances.distance) AS distance,
    max(kill_distances.longest) AS longest
FROM kill_distances
GROUP BY player_id, weapon, bots;

-- Who was ever on a server.
CREATE TABLE IF NOT EXISTS server_players
(
    server_id UUID,
    player_id String,
    is_bot Bool,
    events SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (server_id, player_id, is_bot)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS server_players_mv;

TRUNCATE TABLE server_players;

INSERT INTO server_players (server_id, player_id, is_bot, events)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    server_id,
    player_id,
    is_bot,
    sum(server_players_hourly.events) AS events
FROM server_players_hourly
WHERE player_id != ''
GROUP BY server_id, player_id, is_bot;

CREATE MATERIALIZED VIEW IF NOT EXISTS server_players_mv TO server_players AS
SELECT
    server_id,
    player_id,
    is_bot,
    sum(server_players_hourly.events) AS events
FROM server_players_hourly
WHERE player_id != ''
GROUP BY server_id, player_id, is_bot;

-- Where everybody's kills happened.
CREATE TABLE IF NOT EXISTS map_cells
(
    map_name LowCardinality(String),
    kind LowCardinality(String),
    team LowCardinality(String),
    bots Bool,
    cell_x Int32,
    cell_y Int32,
    count SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (map_name, kind, team, bots, cell_x, cell_y)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS map_cells_mv;

TRUNCATE TABLE map_cells;

INSERT INTO map_cells (map_name, kind, team, bots, cell_x, cell_y, count)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    map_name,
    kind,
    team,
    bots,
    cell_x,
    cell_y,
    sum(kill_heatmap.count) AS count
FROM kill_heatmap
GROUP BY map_name, kind, team, bots, cell_x, cell_y;

CREATE MATERIALIZED VIEW IF NOT EXISTS map_cells_mv TO map_cells AS
SELECT
    map_name,
    kind,
    team,
    bots,
    cell_x,
    cell_y,
    sum(kill_heatmap.count) AS count
FROM kill_heatmap
GROUP BY map_name, kind, team, bots, cell_x, cell_y;

-- Where a player's happened.
CREATE TABLE IF NOT EXISTS player_cells
(
    player_id String,
    map_name LowCardinality(String),
    kind LowCardinality(String),
    team LowCardinality(String),
    bots Bool,
    cell_x Int32,
    cell_y Int32,
    count SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (player_id, map_name, kind, team, bots, cell_x, cell_y)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS player_cells_mv;

TRUNCATE TABLE player_cells;

INSERT INTO player_cells (player_id, map_name, kind, team, bots, cell_x, cell_y, count)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    player_id,
    map_name,
    kind,
    team,
    bots,
    cell_x,
    cell_y,
    sum(kill_heatmap.count) AS count
FROM kill_heatmap
GROUP BY player_id, map_name, kind, team, bots, cell_x, cell_y;

CREATE MATERIALIZED VIEW IF NOT EXISTS player_cells_mv TO player_cells AS
SELECT
    player_id,
    map_name,
    kind,
    team,
    bots,
    cell_x,
    cell_y,
    sum(kill_heatmap.count) AS count
FROM kill_heatmap
GROUP BY player_id, map_name, kind, team, bots, cell_x, cell_y;

-- How far a map reaches, as far as anybody killed or died there.
CREATE TABLE IF NOT EXISTS map_extents
(
    map_name LowCardinality(String),
    count SimpleAggregateFunction(sum, UInt64),
    first_column SimpleAggregateFunction(min, Int32),
    last_column SimpleAggregateFunction(max, Int32),
    first_line SimpleAggregateFunction(min, Int32),
    last_line SimpleAggregateFunction(max, Int32)
)
ENGINE = AggregatingMergeTree
ORDER BY (map_name)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS map_extents_mv;

TRUNCATE TABLE map_extents;

INSERT INTO map_extents (map_name, count, first_column, last_column, first_line, last_line)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    map_name,
    sum(kill_heatmap.count) AS count,
    min(cell_x) AS first_column,
    max(cell_x) AS last_column,
    min(cell_y) AS first_line,
    max(cell_y) AS last_line
FROM kill_heatmap
GROUP BY map_name;

CREATE MATERIALIZED VIEW IF NOT EXISTS map_extents_mv TO map_extents AS
SELECT
    map_name,
    sum(kill_heatmap.count) AS count,
    min(cell_x) AS first_column,
    max(cell_x) AS last_column,
    min(cell_y) AS first_line,
    max(cell_y) AS last_line
FROM kill_heatmap
GROUP BY map_name;
