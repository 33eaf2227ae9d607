-- What a player did in a match, told apart by weapon, by means of death and by kind of event: what achievements are
-- measured by over all matches. `deed` says what `word` is; domain/src/achievements/rule.rs lists the event types.
--
-- The statements may be repeated: the table is filled before its view exists. What other nodes store in between is
-- counted in when the day is compared.

CREATE TABLE IF NOT EXISTS player_match_deeds
(
    day Date,
    player_id String,
    match_id UUID,
    server_id UUID,
    bots Bool,
    deed LowCardinality(String),
    word LowCardinality(String),
    kills SimpleAggregateFunction(sum, UInt64),
    deaths SimpleAggregateFunction(sum, UInt64),
    headshots SimpleAggregateFunction(sum, UInt64),
    events SimpleAggregateFunction(sum, UInt64),
    distance SimpleAggregateFunction(sum, Decimal(38, 3))
)
ENGINE = AggregatingMergeTree
PARTITION BY day
ORDER BY (player_id, match_id, server_id, bots, deed, word)
SETTINGS non_replicated_deduplication_window = 10000;

DROP VIEW IF EXISTS player_match_deeds_mv;

TRUNCATE TABLE player_match_deeds;

-- Not deduplicated: a store that was killed may remember an insert whose rows it lost.
INSERT INTO player_match_deeds
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0, max_execution_time = 0, max_bytes_before_external_group_by = 1000000000
SELECT
    toDate(event_at) AS day,
    if(part.1 = 'player', raw_events.player_id, target_id) AS player_id,
    match_id,
    server_id,
    player_bot OR target_bot AS bots,
    part.2 AS deed,
    multiIf(part.2 = 'weapon', toString(weapon), part.2 = 'means', toString(means_of_death), toString(type)) AS word,
    countIf(part.1 = 'player' AND part.2 != 'event' AND kill_kind = 'kill') AS kills,
    countIf(part.1 = 'target' AND kill_kind != '') AS deaths,
    countIf(part.1 = 'player' AND part.2 != 'event' AND is_headshot) AS headshots,
    count() AS events,
    sum(toDecimal128(if(type = 'distance', least(greatest(ifNull(walked, 0) + ifNull(sprinted, 0) + ifNull(swam, 0) + ifNull(driven, 0), 0), 1000000), 0), 3)) AS distance
FROM raw_events
ARRAY JOIN [('player', 'weapon'), ('player', 'means'), ('player', 'event'), ('target', 'weapon'), ('target', 'means')] AS part
WHERE (kill_kind != '' OR type IN ('distance', 'jump', 'objective_capture', 'grenade_throw', 'reload', 'item_pickup', 'health_pickup', 'ammo_pickup', 'armor_pickup', 'door_open', 'ladder_mount', 'prone', 'crouch', 'chat', 'weapon_no_ammo', 'weapon_drop', 'player_roadkill', 'player_crushed', 'player_telefragged'))
    AND multiIf(part.2 = 'event', kill_kind = '', part.2 = 'weapon', kill_kind != '' AND weapon != '', kill_kind != '' AND means_of_death != '')
    AND if(part.1 = 'player', raw_events.player_id, target_id) != ''
GROUP BY day, if(part.1 = 'player', raw_events.player_id, target_id), match_id, server_id, bots, deed, word;

CREATE MATERIALIZED VIEW IF NOT EXISTS player_match_deeds_mv TO player_match_deeds AS
SELECT
    toDate(event_at) AS day,
    if(part.1 = 'player', raw_events.player_id, target_id) AS player_id,
    match_id,
    server_id,
    player_bot OR target_bot AS bots,
    part.2 AS deed,
    multiIf(part.2 = 'weapon', toString(weapon), part.2 = 'means', toString(means_of_death), toString(type)) AS word,
    countIf(part.1 = 'player' AND part.2 != 'event' AND kill_kind = 'kill') AS kills,
    countIf(part.1 = 'target' AND kill_kind != '') AS deaths,
    countIf(part.1 = 'player' AND part.2 != 'event' AND is_headshot) AS headshots,
    count() AS events,
    sum(toDecimal128(if(type = 'distance', least(greatest(ifNull(walked, 0) + ifNull(sprinted, 0) + ifNull(swam, 0) + ifNull(driven, 0), 0), 1000000), 0), 3)) AS distance
FROM raw_events
ARRAY JOIN [('player', 'weapon'), ('player', 'means'), ('player', 'event'), ('target', 'weapon'), ('target', 'means')] AS part
WHERE (kill_kind != '' OR type IN ('distance', 'jump', 'objective_capture', 'grenade_throw', 'reload', 'item_pickup', 'health_pickup', 'ammo_pickup', 'armor_pickup', 'door_open', 'ladder_mount', 'prone', 'crouch', 'chat', 'weapon_no_ammo', 'weapon_drop', 'player_roadkill', 'player_crushed', 'player_telefragged'))
    AND multiIf(part.2 = 'event', kill_kind = '', part.2 = 'weapon', kill_kind != '' AND weapon != '', kill_kind != '' AND means_of_death != '')
    AND if(part.1 = 'player', raw_events.player_id, target_id) != ''
GROUP BY day, if(part.1 = 'player', raw_events.player_id, target_id), match_id, server_id, bots, deed, word;
