-- Who was on a server in which hour. A row for each player of the hour, so that two ids of one person count once and a
-- recount can be compared: a state of distinct ids could do neither. The row without a player counts the hour's events,
-- each once; a player's row counts those that the player had a part in.
--
-- The statements may be repeated, as in 0006.

CREATE TABLE IF NOT EXISTS server_players_hourly
(
    hour DateTime('UTC'),
    server_id UUID,
    player_id String,
    is_bot Bool,
    events SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(hour)
ORDER BY (server_id, hour, player_id, is_bot)
SETTINGS non_replicated_deduplication_window = 10000;

DROP VIEW IF EXISTS server_players_hourly_mv;

TRUNCATE TABLE server_players_hourly;

-- Not deduplicated: a store that was killed may remember an insert whose rows it lost.
INSERT INTO server_players_hourly
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    toStartOfHour(event_at) AS hour,
    server_id,
    multiIf(part = 'player', raw_events.player_id, part = 'target', target_id, '') AS player_id,
    multiIf(part = 'player', player_bot, part = 'target', target_bot, false) AS is_bot,
    count() AS events
FROM raw_events
ARRAY JOIN ['player', 'target', 'hour'] AS part
WHERE part = 'hour' OR if(part = 'player', raw_events.player_id, target_id) != ''
GROUP BY hour, server_id, multiIf(part = 'player', raw_events.player_id, part = 'target', target_id, ''), is_bot;

CREATE MATERIALIZED VIEW IF NOT EXISTS server_players_hourly_mv TO server_players_hourly AS
SELECT
    toStartOfHour(event_at) AS hour,
    server_id,
    multiIf(part = 'player', raw_events.player_id, part = 'target', target_id, '') AS player_id,
    multiIf(part = 'player', player_bot, part = 'target', target_bot, false) AS is_bot,
    count() AS events
FROM raw_events
ARRAY JOIN ['player', 'target', 'hour'] AS part
WHERE part = 'hour' OR if(part = 'player', raw_events.player_id, target_id) != ''
GROUP BY hour, server_id, multiIf(part = 'player', raw_events.player_id, part = 'target', target_id, ''), is_bot;
