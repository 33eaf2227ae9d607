-- How far away victims of scoring kills stood, by steps of five metres: ranges of weapons, longest kills. Only kills whose
-- both places are known, all three numbers of each; 16 map units make a foot, so a unit is 0.01905 m. `metres` is the lower
-- end of the step; what is further than 500 m is in the last one. Places beyond a million units are none (0002).
--
-- The statements may be repeated, as in 0006.

CREATE TABLE IF NOT EXISTS kill_distances
(
    day Date,
    weapon LowCardinality(String),
    player_id String,
    server_id UUID,
    map_name LowCardinality(String),
    gametype LowCardinality(String),
    team LowCardinality(String),
    bots Bool,
    metres UInt16,
    kills SimpleAggregateFunction(sum, UInt64),
    distance SimpleAggregateFunction(sum, Decimal(38, 3)),
    longest SimpleAggregateFunction(max, Decimal(18, 3))
)
ENGINE = AggregatingMergeTree
PARTITION BY day
ORDER BY (weapon, player_id, day, server_id, map_name, gametype, team, bots, metres)
SETTINGS non_replicated_deduplication_window = 10000;

DROP VIEW IF EXISTS kill_distances_mv;

TRUNCATE TABLE kill_distances;

-- Not deduplicated: a store that was killed may remember an insert whose rows it lost.
INSERT INTO kill_distances
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    toDate(event_at) AS day,
    weapon,
    player_id,
    server_id,
    map_name,
    gametype,
    player_team AS team,
    player_bot OR target_bot AS bots,
    toUInt16(least(intDiv(toUInt32(floor(ifNull(sqrt(pow(toFloat64(player_x) - target_x, 2) + pow(toFloat64(player_y) - target_y, 2) + pow(toFloat64(player_z) - target_z, 2)), 0) * 0.01905)), 5) * 5, 500)) AS metres,
    count() AS kills,
    sum(toDecimal128(ifNull(sqrt(pow(toFloat64(player_x) - target_x, 2) + pow(toFloat64(player_y) - target_y, 2) + pow(toFloat64(player_z) - target_z, 2)), 0) * 0.01905, 3)) AS distance,
    max(toDecimal64(ifNull(sqrt(pow(toFloat64(player_x) - target_x, 2) + pow(toFloat64(player_y) - target_y, 2) + pow(toFloat64(player_z) - target_z, 2)), 0) * 0.01905, 3)) AS longest
FROM raw_events
WHERE kill_kind = 'kill' AND player_id != ''
    AND abs(player_x) <= 1000000 AND abs(player_y) <= 1000000 AND abs(player_z) <= 1000000
    AND abs(target_x) <= 1000000 AND abs(target_y) <= 1000000 AND abs(target_z) <= 1000000
GROUP BY day, weapon, player_id, server_id, map_name, gametype, team, bots, metres;

CREATE MATERIALIZED VIEW IF NOT EXISTS kill_distances_mv TO kill_distances AS
SELECT
    toDate(event_at) AS day,
    weapon,
    player_id,
    server_id,
    map_name,
    gametype,
    player_team AS team,
    player_bot OR target_bot AS bots,
    toUInt16(least(intDiv(toUInt32(floor(ifNull(sqrt(pow(toFloat64(player_x) - target_x, 2) + pow(toFloat64(player_y) - target_y, 2) + pow(toFloat64(player_z) - target_z, 2)), 0) * 0.01905)), 5) * 5, 500)) AS metres,
    count() AS kills,
    sum(toDecimal128(ifNull(sqrt(pow(toFloat64(player_x) - target_x, 2) + pow(toFloat64(player_y) - target_y, 2) + pow(toFloat64(player_z) - target_z, 2)), 0) * 0.01905, 3)) AS distance,
    max(toDecimal64(ifNull(sqrt(pow(toFloat64(player_x) - target_x, 2) + pow(toFloat64(player_y) - target_y, 2) + pow(toFloat64(player_z) - target_z, 2)), 0) * 0.01905, 3)) AS longest
FROM raw_events
WHERE kill_kind = 'kill' AND player_id != ''
    AND abs(player_x) <= 1000000 AND abs(player_y) <= 1000000 AND abs(player_z) <= 1000000
    AND abs(target_x) <= 1000000 AND abs(target_y) <= 1000000 AND abs(target_z) <= 1000000
GROUP BY day, weapon, player_id, server_id, map_name, gametype, team, bots, metres;
