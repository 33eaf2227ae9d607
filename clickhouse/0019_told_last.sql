-- What was told last: scores, the winner, a player's side and name. Events that came in one request may all have the same time;
-- among those the last is the one that stands last in the spool. `argMax` by time alone took any of them.
--
-- The statements may be repeated: the rows that they add carry nothing but minima and maxima. The columns of before stay for
-- nodes of the version before, which read them.

ALTER TABLE matches
    ADD COLUMN IF NOT EXISTS allies_told SimpleAggregateFunction(max, Tuple(event_at DateTime64(3, 'UTC'), spool_seq UInt64, spool_index UInt32, score Int32)),
    ADD COLUMN IF NOT EXISTS axis_told SimpleAggregateFunction(max, Tuple(event_at DateTime64(3, 'UTC'), spool_seq UInt64, spool_index UInt32, score Int32)),
    ADD COLUMN IF NOT EXISTS winner_told SimpleAggregateFunction(max, Tuple(event_at DateTime64(3, 'UTC'), spool_seq UInt64, spool_index UInt32, team String));

ALTER TABLE match_totals
    ADD COLUMN IF NOT EXISTS allies_told SimpleAggregateFunction(max, Tuple(event_at DateTime64(3, 'UTC'), spool_seq UInt64, spool_index UInt32, score Int32)),
    ADD COLUMN IF NOT EXISTS axis_told SimpleAggregateFunction(max, Tuple(event_at DateTime64(3, 'UTC'), spool_seq UInt64, spool_index UInt32, score Int32)),
    ADD COLUMN IF NOT EXISTS winner_told SimpleAggregateFunction(max, Tuple(event_at DateTime64(3, 'UTC'), spool_seq UInt64, spool_index UInt32, team String));

ALTER TABLE player_match_totals
    ADD COLUMN IF NOT EXISTS name_told SimpleAggregateFunction(max, Tuple(event_at DateTime64(3, 'UTC'), spool_seq UInt64, spool_index UInt32, name String)),
    ADD COLUMN IF NOT EXISTS side_told SimpleAggregateFunction(max, Tuple(event_at DateTime64(3, 'UTC'), spool_seq UInt64, spool_index UInt32, team String));

ALTER TABLE player_matches
    ADD COLUMN IF NOT EXISTS side_told SimpleAggregateFunction(max, Tuple(event_at DateTime64(3, 'UTC'), spool_seq UInt64, spool_index UInt32, team String));

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
    min(matches.first_kill) AS first_kill,
    max(matches.allies_told) AS allies_told,
    max(matches.axis_told) AS axis_told,
    max(matches.winner_told) AS winner_told
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
        kill_kind = 'kill' AND player_id != '' AND (player_bot OR target_bot))) AS first_kill,
    maxIf((event_at, spool_seq, spool_index, ifNull(raw_events.allies_score, 0)), isNotNull(raw_events.allies_score)) AS allies_told,
    maxIf((event_at, spool_seq, spool_index, ifNull(raw_events.axis_score, 0)), isNotNull(raw_events.axis_score)) AS axis_told,
    maxIf((event_at, spool_seq, spool_index, toString(raw_events.winning_team)), type = 'match_end' AND raw_events.winning_team != '') AS winner_told
FROM raw_events
GROUP BY day, match_id, server_id;

ALTER TABLE player_matches_mv MODIFY QUERY
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
    max(player_match_totals.last_level_ms) AS last_level_ms,
    max(player_match_totals.side_told) AS side_told
FROM player_match_totals
GROUP BY player_id, match_id, server_id, bots;

ALTER TABLE player_match_totals_mv MODIFY QUERY
SELECT
    toDate(event_at) AS day,
    if(side = 'player', raw_events.player_id, target_id) AS player_id,
    match_id,
    server_id,
    player_bot OR target_bot AS bots,
    max(toString(raw_events.map_name)) AS map_name,
    max(toString(raw_events.gametype)) AS gametype,
    argMaxStateIf(
        if(side = 'player', raw_events.player_name, target_name), event_at,
        if(side = 'player', raw_events.player_name, target_name) != '') AS player_name,
    argMaxStateIf(
        toString(if(side = 'player', player_team, target_team)), event_at,
        if(side = 'player', player_team, target_team) IN ('allies', 'axis', 'freeforall')) AS team,
    count() AS events,
    countIf(side = 'player' AND kill_kind = 'kill') AS kills,
    countIf(side = 'target' AND kill_kind != '') AS deaths,
    countIf(side = 'player' AND is_headshot) AS headshots,
    countIf(side = 'target' AND kill_kind = 'suicide') AS suicides,
    countIf(side = 'player' AND kill_kind = 'team_kill') AS team_kills,
    sumIf(toDecimal128(least(greatest(ifNull(raw_events.damage, 0), -1000000), 1000000), 3), side = 'player' AND type = 'damage' AND is_hostile) AS damage,
    countIf(side = 'player' AND type = 'weapon_fire') AS shots_fired,
    countIf(side = 'player' AND type = 'weapon_hit') AS shots_hit,
    sumIf(toUInt64(greatest(ifNull(raw_events.shots_fired, 0), 0)), side = 'player' AND type = 'accuracy_summary') AS summary_shots_fired,
    sumIf(toUInt64(greatest(ifNull(raw_events.shots_hit, 0), 0)), side = 'player' AND type = 'accuracy_summary') AS summary_shots_hit,
    min(event_at) AS first_seen,
    max(event_at) AS last_seen,
    minIf(toNullable(toUInt32(round(least(greatest(ifNull(level_time, 0), 0), 2147483.647) * 1000))), level_time BETWEEN 0 AND 2147483.647) AS first_level_ms,
    maxIf(toNullable(toUInt32(round(least(greatest(ifNull(level_time, 0), 0), 2147483.647) * 1000))), level_time BETWEEN 0 AND 2147483.647) AS last_level_ms,
    maxIf((event_at, spool_seq, spool_index, if(side = 'player', raw_events.player_name, target_name)), if(side = 'player', raw_events.player_name, target_name) != '') AS name_told,
    maxIf((event_at, spool_seq, spool_index, toString(if(side = 'player', player_team, target_team))), if(side = 'player', player_team, target_team) IN ('allies', 'axis', 'freeforall')) AS side_told
FROM raw_events
ARRAY JOIN ['player', 'target'] AS side
WHERE if(side = 'player', raw_events.player_id, target_id) != ''
GROUP BY day, if(side = 'player', raw_events.player_id, target_id), match_id, server_id, bots;

-- Of days whose events have been deleted there is only what was known before; what an event tells is later than the day's
-- beginning.
INSERT INTO matches (day, match_id, server_id, started_at, updated_at, allies_told, axis_told, winner_told)
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    day,
    match_id,
    server_id,
    min(matches.started_at) AS started_at,
    max(matches.updated_at) AS updated_at,
    (toDateTime64(if(argMaxMerge(matches.allies_score) != 0, day, toDate(0)), 3, 'UTC'), 0, 0, argMaxMerge(matches.allies_score)) AS allies_told,
    (toDateTime64(if(argMaxMerge(matches.axis_score) != 0, day, toDate(0)), 3, 'UTC'), 0, 0, argMaxMerge(matches.axis_score)) AS axis_told,
    (toDateTime64(if(argMaxMerge(matches.winning_team) != '', day, toDate(0)), 3, 'UTC'), 0, 0, argMaxMerge(matches.winning_team)) AS winner_told
FROM matches
GROUP BY day, match_id, server_id;

INSERT INTO matches (day, match_id, server_id, started_at, updated_at, allies_told, axis_told, winner_told)
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    toDate(event_at) AS day,
    match_id,
    server_id,
    min(event_at) AS started_at,
    max(event_at) AS updated_at,
    maxIf((event_at, spool_seq, spool_index, ifNull(raw_events.allies_score, 0)), isNotNull(raw_events.allies_score)) AS allies_told,
    maxIf((event_at, spool_seq, spool_index, ifNull(raw_events.axis_score, 0)), isNotNull(raw_events.axis_score)) AS axis_told,
    maxIf((event_at, spool_seq, spool_index, toString(raw_events.winning_team)), type = 'match_end' AND raw_events.winning_team != '') AS winner_told
FROM raw_events
WHERE isNotNull(raw_events.allies_score) OR isNotNull(raw_events.axis_score) OR raw_events.winning_team != ''
GROUP BY day, match_id, server_id;

INSERT INTO player_match_totals (day, player_id, match_id, server_id, bots, first_seen, last_seen, name_told, side_told)
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    day,
    player_id,
    match_id,
    server_id,
    bots,
    min(player_match_totals.first_seen) AS first_seen,
    max(player_match_totals.last_seen) AS last_seen,
    (toDateTime64(if(argMaxMerge(player_match_totals.player_name) != '', day, toDate(0)), 3, 'UTC'), 0, 0, argMaxMerge(player_match_totals.player_name)) AS name_told,
    (toDateTime64(if(argMaxMerge(player_match_totals.team) != '', day, toDate(0)), 3, 'UTC'), 0, 0, argMaxMerge(player_match_totals.team)) AS side_told
FROM player_match_totals
GROUP BY day, player_id, match_id, server_id, bots;

INSERT INTO player_match_totals (day, player_id, match_id, server_id, bots, first_seen, last_seen, name_told, side_told)
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    toDate(event_at) AS day,
    if(side = 'player', raw_events.player_id, target_id) AS player_id,
    match_id,
    server_id,
    player_bot OR target_bot AS bots,
    min(event_at) AS first_seen,
    max(event_at) AS last_seen,
    maxIf((event_at, spool_seq, spool_index, if(side = 'player', raw_events.player_name, target_name)), if(side = 'player', raw_events.player_name, target_name) != '') AS name_told,
    maxIf((event_at, spool_seq, spool_index, toString(if(side = 'player', player_team, target_team))), if(side = 'player', player_team, target_team) IN ('allies', 'axis', 'freeforall')) AS side_told
FROM raw_events
ARRAY JOIN ['player', 'target'] AS side
WHERE if(side = 'player', raw_events.player_id, target_id) != ''
GROUP BY day, if(side = 'player', raw_events.player_id, target_id), match_id, server_id, bots;

-- Else each match would be read twice until its day is merged, which may be long in coming.
OPTIMIZE TABLE matches FINAL;

OPTIMIZE TABLE match_totals FINAL;

OPTIMIZE TABLE player_match_totals FINAL;

OPTIMIZE TABLE player_matches FINAL;
