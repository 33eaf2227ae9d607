-- Granules that fit what is looked for, in tables that have them too large. How many rows a granule has is said when a table is
-- made, so each is made anew beside the old one, filled from it, and changes names with it: a view fills whichever has the name.
--
-- The statements may be repeated. Rows that other nodes store between the filling and the change of names are missing until the next
-- comparison.

-- A page of a list, a player's matches, a match of its own: each looks up matches by their ids, which lie anywhere in the order of
-- this table. What was opened lately is found by the index; it is worked out of `opened`, so the view goes on as it is.
DROP TABLE IF EXISTS match_totals_fine;

CREATE TABLE match_totals_fine AS match_totals SETTINGS index_granularity = 32;

ALTER TABLE match_totals_fine
    ADD COLUMN IF NOT EXISTS opened_ms SimpleAggregateFunction(min, Int64) MATERIALIZED tupleElement(opened, 'received_ms');

ALTER TABLE match_totals_fine ADD INDEX IF NOT EXISTS by_opening opened_ms TYPE minmax GRANULARITY 1;

-- Not deduplicated: a store that was killed may remember an insert whose rows it lost.
INSERT INTO match_totals_fine
SETTINGS insert_deduplicate = 0, max_execution_time = 0
SELECT * FROM match_totals;

EXCHANGE TABLES match_totals AND match_totals_fine;

DROP TABLE match_totals_fine;

-- A player of some days: a day of 20,000 events has some thousand rows here, which were one granule.
DROP TABLE IF EXISTS player_stats_daily_fine;

CREATE TABLE player_stats_daily_fine AS player_stats_daily SETTINGS index_granularity = 256;

INSERT INTO player_stats_daily_fine
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0, max_execution_time = 0
SELECT * FROM player_stats_daily;

EXCHANGE TABLES player_stats_daily AND player_stats_daily_fine;

DROP TABLE player_stats_daily_fine;

DROP TABLE IF EXISTS weapon_stats_fine;

CREATE TABLE weapon_stats_fine AS weapon_stats SETTINGS index_granularity = 256;

INSERT INTO weapon_stats_fine
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0, max_execution_time = 0
SELECT * FROM weapon_stats;

EXCHANGE TABLES weapon_stats AND weapon_stats_fine;

DROP TABLE weapon_stats_fine;

DROP TABLE IF EXISTS player_match_totals_fine;

CREATE TABLE player_match_totals_fine AS player_match_totals SETTINGS index_granularity = 256;

INSERT INTO player_match_totals_fine
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0, max_execution_time = 0
SELECT * FROM player_match_totals;

EXCHANGE TABLES player_match_totals AND player_match_totals_fine;

DROP TABLE player_match_totals_fine;

DROP TABLE IF EXISTS player_rivals_daily_fine;

CREATE TABLE player_rivals_daily_fine AS player_rivals_daily SETTINGS index_granularity = 256;

INSERT INTO player_rivals_daily_fine
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0, max_execution_time = 0
SELECT * FROM player_rivals_daily;

EXCHANGE TABLES player_rivals_daily AND player_rivals_daily_fine;

DROP TABLE player_rivals_daily_fine;

DROP TABLE IF EXISTS player_stances_daily_fine;

CREATE TABLE player_stances_daily_fine AS player_stances_daily SETTINGS index_granularity = 256;

INSERT INTO player_stances_daily_fine
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0, max_execution_time = 0
SELECT * FROM player_stances_daily;

EXCHANGE TABLES player_stances_daily AND player_stances_daily_fine;

DROP TABLE player_stances_daily_fine;

-- Nothing asks for it: activity is told by `server_players_hourly`, a player's form by `player_days`.
DROP VIEW IF EXISTS player_kills_hourly_mv;

DROP TABLE IF EXISTS player_kills_hourly;
