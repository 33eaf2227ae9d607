-- Which player an id stands for, where that is another one: linked to a user, merged by an admin, or anonymised. A copy of
-- what PostgreSQL says, so that questions can be asked here. A row whose two ids are equal says that the link is gone.

CREATE TABLE IF NOT EXISTS player_links
(
    player_id String,
    canonical_id String,
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY player_id;
