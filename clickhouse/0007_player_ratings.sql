-- Everybody's rating, so that boards can be asked here. A copy of `player_ratings` in PostgreSQL, where ratings are worked
-- out; `revision` is that table's. No matches say that there is no rating any more.

CREATE TABLE IF NOT EXISTS player_ratings
(
    player_id String,
    value Float64,
    deviation Float64,
    matches UInt32,
    revision UInt64
)
ENGINE = ReplacingMergeTree(revision)
ORDER BY player_id;
