-- Which kill of a match was its first (0010) is told by the match's own row: two views fewer for each insert.
--
-- Before all kills is what 0010 says; a match without any has the default, which is behind everything. The statements may be
-- repeated, as in 0004.

ALTER TABLE matches
    ADD COLUMN IF NOT EXISTS first_kill SimpleAggregateFunction(min, Tuple(level_ms Int64, event_at DateTime64(3, 'UTC'), spool_seq UInt64, spool_index UInt32, player_id String, bots Bool))
    DEFAULT (9223372036854775807, 0, 0, 0, '', false) AFTER kills;

ALTER TABLE match_totals
    ADD COLUMN IF NOT EXISTS first_kill SimpleAggregateFunction(min, Tuple(level_ms Int64, event_at DateTime64(3, 'UTC'), spool_seq UInt64, spool_index UInt32, player_id String, bots Bool))
    DEFAULT (9223372036854775807, 0, 0, 0, '', false) AFTER kills;

ALTER TABLE match_totals_mv MODIFY QUERY
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
    sum(matches.kills) AS kills,
    min(matches.first_kill) AS first_kill
FROM matches
GROUP BY match_id, server_id;

ALTER TABLE matches_mv MODIFY QUERY
SELECT
    toDate(event_at) AS day,
    match_id,
    server_id,
    max(raw_events.source_match_id) AS source_match_id,
    max(toString(raw_events.map_name)) AS map_name,
    max(toString(raw_events.gametype)) AS gametype,
    min(event_at) AS started_at,
    min((toUnixTimestamp64Milli(received_at), spool_seq, spool_index)) AS opened,
    max(event_at) AS updated_at,
    maxIf(toNullable(event_at), type = 'match_end') AS ended_at,
    max(raw_events.duration) AS duration,
    argMaxStateIf(raw_events.allies_score, event_at, isNotNull(raw_events.allies_score)) AS allies_score,
    argMaxStateIf(raw_events.axis_score, event_at, isNotNull(raw_events.axis_score)) AS axis_score,
    argMaxStateIf(toString(raw_events.winning_team), event_at, type = 'match_end' AND raw_events.winning_team != '') AS winning_team,
    argMaxStateIf(raw_events.player_count, event_at, isNotNull(raw_events.player_count)) AS player_count,
    max(raw_events.max_clients) AS max_clients,
    max(raw_events.round_number) AS round_number,
    count() AS events,
    countIf(kill_kind = 'kill') AS kills,
    min((
        if(kill_kind = 'kill' AND player_id != '', if(level_time BETWEEN 0 AND 2147483.647, toInt64(round(ifNull(level_time, 0) * 1000)), toInt64(0)), toInt64(9223372036854775807)),
        if(kill_kind = 'kill' AND player_id != '', event_at, toDateTime64(0, 3, 'UTC')),
        if(kill_kind = 'kill' AND player_id != '', spool_seq, 0),
        if(kill_kind = 'kill' AND player_id != '', spool_index, 0),
        if(kill_kind = 'kill', player_id, ''),
        kill_kind = 'kill' AND player_id != '' AND (player_bot OR target_bot))) AS first_kill
FROM raw_events
GROUP BY day, match_id, server_id;

-- Its rows carry nothing but minima and maxima: counting one in again changes nothing. The view on `matches` hands them on.
INSERT INTO matches (day, match_id, server_id, started_at, updated_at, first_kill)
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    day,
    match_id,
    server_id,
    tupleElement(min(match_first_kills.first), 'event_at') AS started_at,
    tupleElement(min(match_first_kills.first), 'event_at') AS updated_at,
    min(match_first_kills.first) AS first_kill
FROM match_first_kills
GROUP BY day, match_id, server_id;

-- Else a match would be read twice until its day is merged, which may be long in coming. There is a row for each match and day.
OPTIMIZE TABLE matches FINAL;

OPTIMIZE TABLE match_totals FINAL;

-- The tables stay as they are for nodes of the version before, which read them.
DROP VIEW IF EXISTS first_kills_mv;

DROP VIEW IF EXISTS match_first_kills_mv;
