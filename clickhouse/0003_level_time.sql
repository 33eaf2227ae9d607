-- Time played is measured by the level's clock: it runs with the match, while events of a batch are received at once, late
-- or, from a simulation, faster than they were played.
--
-- Each statement may be repeated, so a migration that was cut short begins anew. The view fills the new columns from here
-- on; the last statement fills them for what was stored before. Its rows carry nothing but minima and maxima, so it
-- doesn't matter how often a row is counted in, nor that the view has counted it too.

ALTER TABLE player_match_totals
    ADD COLUMN IF NOT EXISTS first_level_ms SimpleAggregateFunction(min, Nullable(UInt32)) AFTER last_seen,
    ADD COLUMN IF NOT EXISTS last_level_ms SimpleAggregateFunction(max, Nullable(UInt32)) AFTER first_level_ms;

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
    maxIf(toNullable(toUInt32(round(least(greatest(ifNull(level_time, 0), 0), 2147483.647) * 1000))), level_time BETWEEN 0 AND 2147483.647) AS last_level_ms
FROM raw_events
ARRAY JOIN ['player', 'target'] AS side
WHERE if(side = 'player', raw_events.player_id, target_id) != ''
GROUP BY day, if(side = 'player', raw_events.player_id, target_id), match_id, server_id, bots;

-- Not deduplicated: a store that was killed may remember an insert whose rows it lost.
INSERT INTO player_match_totals (day, player_id, match_id, server_id, bots, first_seen, last_seen, first_level_ms, last_level_ms)
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    toDate(event_at) AS day,
    if(side = 'player', raw_events.player_id, target_id) AS player_id,
    match_id,
    server_id,
    player_bot OR target_bot AS bots,
    min(event_at) AS first_seen,
    max(event_at) AS last_seen,
    minIf(toNullable(toUInt32(round(least(greatest(ifNull(level_time, 0), 0), 2147483.647) * 1000))), level_time BETWEEN 0 AND 2147483.647) AS first_level_ms,
    maxIf(toNullable(toUInt32(round(least(greatest(ifNull(level_time, 0), 0), 2147483.647) * 1000))), level_time BETWEEN 0 AND 2147483.647) AS last_level_ms
FROM raw_events
ARRAY JOIN ['player', 'target'] AS side
WHERE if(side = 'player', raw_events.player_id, target_id) != ''
GROUP BY day, if(side = 'player', raw_events.player_id, target_id), match_id, server_id, bots;
