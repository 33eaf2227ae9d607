-- A match ends when another opens on its server, in the order in which the tracker saw their first events. The events' own
-- times can't tell: several matches of one request may have one time, and a sender's clock may run backwards.
--
-- Each statement may be repeated, as in 0003. Until the last one is done a match stored before has no place in the order
-- (the default is behind everything), which ends no other match.

ALTER TABLE matches
    ADD COLUMN IF NOT EXISTS opened SimpleAggregateFunction(min, Tuple(received_ms Int64, spool_seq UInt64, spool_index UInt32))
    DEFAULT (9223372036854775807, 0, 0) AFTER started_at;

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
    countIf(kill_kind = 'kill') AS kills
FROM raw_events
GROUP BY day, match_id, server_id;

-- Its rows carry nothing but minima and maxima: counting one in again changes nothing.
INSERT INTO matches (day, match_id, server_id, started_at, opened, updated_at)
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    toDate(event_at) AS day,
    match_id,
    server_id,
    min(event_at) AS started_at,
    min((toUnixTimestamp64Milli(received_at), spool_seq, spool_index)) AS opened,
    max(event_at) AS updated_at
FROM raw_events
GROUP BY day, match_id, server_id;
