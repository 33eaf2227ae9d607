-- Heatmaps of one weapon or one server over all days, as 0013 has them of everybody and of one player: not partitioned by day, found
-- by key, and filled before their views exist. The statements may be repeated.

-- Where people killed and died by a weapon.
CREATE TABLE IF NOT EXISTS weapon_cells
(
    map_name LowCardinality(String),
    kind LowCardinality(String),
    weapon LowCardinality(String),
    team LowCardinality(String),
    bots Bool,
    cell_x Int32,
    cell_y Int32,
    count SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (map_name, kind, weapon, team, bots, cell_x, cell_y)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS weapon_cells_mv;

TRUNCATE TABLE weapon_cells;

INSERT INTO weapon_cells (map_name, kind, weapon, team, bots, cell_x, cell_y, count)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    map_name,
    kind,
    weapon,
    team,
    bots,
    cell_x,
    cell_y,
    sum(kill_heatmap.count) AS count
FROM kill_heatmap
GROUP BY map_name, kind, weapon, team, bots, cell_x, cell_y;

CREATE MATERIALIZED VIEW IF NOT EXISTS weapon_cells_mv TO weapon_cells AS
SELECT
    map_name,
    kind,
    weapon,
    team,
    bots,
    cell_x,
    cell_y,
    sum(kill_heatmap.count) AS count
FROM kill_heatmap
GROUP BY map_name, kind, weapon, team, bots, cell_x, cell_y;

-- Where people killed and died on a server, by weapon.
CREATE TABLE IF NOT EXISTS server_cells
(
    map_name LowCardinality(String),
    kind LowCardinality(String),
    server_id UUID,
    weapon LowCardinality(String),
    team LowCardinality(String),
    bots Bool,
    cell_x Int32,
    cell_y Int32,
    count SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (map_name, kind, server_id, weapon, team, bots, cell_x, cell_y)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 512;

DROP VIEW IF EXISTS server_cells_mv;

TRUNCATE TABLE server_cells;

INSERT INTO server_cells (map_name, kind, server_id, weapon, team, bots, cell_x, cell_y, count)
SETTINGS insert_deduplicate = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    map_name,
    kind,
    server_id,
    weapon,
    team,
    bots,
    cell_x,
    cell_y,
    sum(kill_heatmap.count) AS count
FROM kill_heatmap
GROUP BY map_name, kind, server_id, weapon, team, bots, cell_x, cell_y;

CREATE MATERIALIZED VIEW IF NOT EXISTS server_cells_mv TO server_cells AS
SELECT
    map_name,
    kind,
    server_id,
    weapon,
    team,
    bots,
    cell_x,
    cell_y,
    sum(kill_heatmap.count) AS count
FROM kill_heatmap
GROUP BY map_name, kind, server_id, weapon, team, bots, cell_x, cell_y;
