-- A map of some days: a day of 27,000 events has some thousand cells of all maps, which were one granule. Made anew as in 0015: beside
-- the old one, filled from it, and given its name. The statements may be repeated; rows that other nodes store between the filling and
-- the change of names are missing until the next comparison.
DROP TABLE IF EXISTS kill_heatmap_fine;

CREATE TABLE kill_heatmap_fine AS kill_heatmap SETTINGS index_granularity = 256;

-- Not deduplicated: a store that was killed may remember an insert whose rows it lost.
INSERT INTO kill_heatmap_fine
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0, max_execution_time = 0
SELECT * FROM kill_heatmap;

EXCHANGE TABLES kill_heatmap AND kill_heatmap_fine;

DROP TABLE kill_heatmap_fine;
