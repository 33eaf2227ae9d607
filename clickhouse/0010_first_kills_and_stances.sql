-- Which kill of a match was its first, and how players stood when they killed and died.
--
-- The statements may be repeated, as in 0006: a table is filled before its view exists. What other nodes store in between is
-- counted in when the day is compared. The index serves whom a player fell to.

CREATE TABLE IF NOT EXISTS match_first_kills
(
    day Date,
    match_id UUID,
    server_id UUID,
    -- Of kills that score: its place in the order of the level's clock, who killed, and whether a bot took part.
    first SimpleAggregateFunction(min, Tuple(level_ms Int64, event_at DateTime64(3, 'UTC'), spool_seq UInt64, spool_index UInt32, player_id String, bots Bool))
)
ENGINE = AggregatingMergeTree
PARTITION BY day
ORDER BY (match_id, server_id)
SETTINGS non_replicated_deduplication_window = 10000;

DROP VIEW IF EXISTS match_first_kills_mv;

TRUNCATE TABLE match_first_kills;

INSERT INTO match_first_kills
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    toDate(event_at) AS day,
    match_id,
    server_id,
    min((if(level_time BETWEEN 0 AND 2147483.647, toInt64(round(ifNull(level_time, 0) * 1000)), 0), event_at, spool_seq, spool_index, player_id, player_bot OR target_bot)) AS first
FROM raw_events
WHERE kill_kind = 'kill' AND player_id != ''
GROUP BY day, match_id, server_id;

CREATE MATERIALIZED VIEW IF NOT EXISTS match_first_kills_mv TO match_first_kills AS
SELECT
    toDate(event_at) AS day,
    match_id,
    server_id,
    min((if(level_time BETWEEN 0 AND 2147483.647, toInt64(round(ifNull(level_time, 0) * 1000)), 0), event_at, spool_seq, spool_index, player_id, player_bot OR target_bot)) AS first
FROM raw_events
WHERE kill_kind = 'kill' AND player_id != ''
GROUP BY day, match_id, server_id;

CREATE TABLE IF NOT EXISTS player_stances_daily
(
    day Date,
    player_id String,
    server_id UUID,
    map_name LowCardinality(String),
    gametype LowCardinality(String),
    team LowCardinality(String),
    bots Bool,
    stance LowCardinality(String),
    kills SimpleAggregateFunction(sum, UInt64),
    deaths SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY day
ORDER BY (player_id, stance, server_id, map_name, gametype, team, bots)
SETTINGS non_replicated_deduplication_window = 10000;

DROP VIEW IF EXISTS player_stances_daily_mv;

TRUNCATE TABLE player_stances_daily;

INSERT INTO player_stances_daily
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    toDate(event_at) AS day,
    if(side = 'player', raw_events.player_id, target_id) AS player_id,
    server_id,
    map_name,
    gametype,
    if(side = 'player', player_team, target_team) AS team,
    player_bot OR target_bot AS bots,
    if(side = 'player', player_stance, target_stance) AS stance,
    countIf(side = 'player' AND kill_kind = 'kill') AS kills,
    countIf(side = 'target') AS deaths
FROM raw_events
ARRAY JOIN ['player', 'target'] AS side
WHERE kill_kind != '' AND (side = 'target' OR kill_kind = 'kill')
    AND if(side = 'player', player_stance, target_stance) != ''
    AND if(side = 'player', raw_events.player_id, target_id) != ''
GROUP BY day, if(side = 'player', raw_events.player_id, target_id), server_id, map_name, gametype, team, bots, stance;

CREATE MATERIALIZED VIEW IF NOT EXISTS player_stances_daily_mv TO player_stances_daily AS
SELECT
    toDate(event_at) AS day,
    if(side = 'player', raw_events.player_id, target_id) AS player_id,
    server_id,
    map_name,
    gametype,
    if(side = 'player', player_team, target_team) AS team,
    player_bot OR target_bot AS bots,
    if(side = 'player', player_stance, target_stance) AS stance,
    countIf(side = 'player' AND kill_kind = 'kill') AS kills,
    countIf(side = 'target') AS deaths
FROM raw_events
ARRAY JOIN ['player', 'target'] AS side
WHERE kill_kind != '' AND (side = 'target' OR kill_kind = 'kill')
    AND if(side = 'player', player_stance, target_stance) != ''
    AND if(side = 'player', raw_events.player_id, target_id) != ''
GROUP BY day, if(side = 'player', raw_events.player_id, target_id), server_id, map_name, gametype, team, bots, stance;

ALTER TABLE player_rivals_daily ADD INDEX IF NOT EXISTS by_target target_id TYPE bloom_filter GRANULARITY 1;

ALTER TABLE player_rivals_daily MATERIALIZE INDEX by_target;
