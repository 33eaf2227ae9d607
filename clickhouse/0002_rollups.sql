-- Roll-ups of raw_events, each a target table filled by its materialized view (`<target>_mv`).
--
-- Every view reads only columns that the tracker stamped; none decides anything again. Sums of fractions are
-- decimals, so that a recount gives the very same figure whatever the order of the parts; absurd values are
-- clamped, because a decimal that overflows would refuse the whole batch. Guests (ids that begin
-- with g_) are kept and left out by the boards; `bots` marks events in which a bot took part.

-- Kills an hour: trend lines and activity.
CREATE TABLE IF NOT EXISTS player_kills_hourly
(
    hour DateTime('UTC'),
    player_id String,
    server_id UUID,
    map_name LowCardinality(String),
    bots Bool,
    kills SimpleAggregateFunction(sum, UInt64),
    headshots SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY toDate(hour)
ORDER BY (player_id, hour, server_id, map_name, bots)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS player_kills_hourly_mv TO player_kills_hourly AS
SELECT
    toStartOfHour(event_at) AS hour,
    player_id,
    server_id,
    map_name,
    player_bot OR target_bot AS bots,
    count() AS kills,
    countIf(is_headshot) AS headshots
FROM raw_events
WHERE kill_kind = 'kill' AND player_id != ''
GROUP BY hour, player_id, server_id, map_name, bots;

-- Everything the leaderboards add up, by day.
CREATE TABLE IF NOT EXISTS player_stats_daily
(
    day Date,
    player_id String,
    server_id UUID,
    map_name LowCardinality(String),
    gametype LowCardinality(String),
    team LowCardinality(String),
    bots Bool,
    events SimpleAggregateFunction(sum, UInt64),
    kills SimpleAggregateFunction(sum, UInt64),
    deaths SimpleAggregateFunction(sum, UInt64),
    headshots SimpleAggregateFunction(sum, UInt64),
    suicides SimpleAggregateFunction(sum, UInt64),
    team_kills SimpleAggregateFunction(sum, UInt64),
    damage SimpleAggregateFunction(sum, Decimal(38, 3)),
    damage_taken SimpleAggregateFunction(sum, Decimal(38, 3)),
    shots_fired SimpleAggregateFunction(sum, UInt64),
    shots_hit SimpleAggregateFunction(sum, UInt64),
    summary_shots_fired SimpleAggregateFunction(sum, UInt64),
    summary_shots_hit SimpleAggregateFunction(sum, UInt64),
    distance SimpleAggregateFunction(sum, Decimal(38, 3)),
    jumps SimpleAggregateFunction(sum, UInt64),
    first_seen SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    last_seen SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
PARTITION BY day
ORDER BY (player_id, day, server_id, map_name, gametype, team, bots)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS player_stats_daily_mv TO player_stats_daily AS
SELECT
    toDate(event_at) AS day,
    if(side = 'player', raw_events.player_id, target_id) AS player_id,
    server_id,
    map_name,
    gametype,
    if(side = 'player', player_team, target_team) AS team,
    player_bot OR target_bot AS bots,
    count() AS events,
    countIf(side = 'player' AND kill_kind = 'kill') AS kills,
    countIf(side = 'target' AND kill_kind != '') AS deaths,
    countIf(side = 'player' AND is_headshot) AS headshots,
    countIf(side = 'target' AND kill_kind = 'suicide') AS suicides,
    countIf(side = 'player' AND kill_kind = 'team_kill') AS team_kills,
    sumIf(toDecimal128(least(greatest(ifNull(raw_events.damage, 0), -1000000), 1000000), 3), side = 'player' AND type = 'damage' AND is_hostile) AS damage,
    sumIf(toDecimal128(least(greatest(ifNull(raw_events.damage, 0), -1000000), 1000000), 3), side = 'target' AND type = 'damage') AS damage_taken,
    countIf(side = 'player' AND type = 'weapon_fire') AS shots_fired,
    countIf(side = 'player' AND type = 'weapon_hit') AS shots_hit,
    sumIf(toUInt64(greatest(ifNull(raw_events.shots_fired, 0), 0)), side = 'player' AND type = 'accuracy_summary') AS summary_shots_fired,
    sumIf(toUInt64(greatest(ifNull(raw_events.shots_hit, 0), 0)), side = 'player' AND type = 'accuracy_summary') AS summary_shots_hit,
    sumIf(toDecimal128(least(greatest(ifNull(walked, 0) + ifNull(sprinted, 0) + ifNull(swam, 0) + ifNull(driven, 0), 0), 1000000), 3), side = 'player' AND type = 'distance') AS distance,
    countIf(side = 'player' AND type = 'jump') AS jumps,
    min(event_at) AS first_seen,
    max(event_at) AS last_seen
FROM raw_events
ARRAY JOIN ['player', 'target'] AS side
WHERE if(side = 'player', raw_events.player_id, target_id) != ''
GROUP BY day, if(side = 'player', raw_events.player_id, target_id), server_id, map_name, gametype, team, bots;

-- What each weapon did in each player's hands, by day.
CREATE TABLE IF NOT EXISTS weapon_stats
(
    day Date,
    weapon LowCardinality(String),
    player_id String,
    server_id UUID,
    map_name LowCardinality(String),
    gametype LowCardinality(String),
    team LowCardinality(String),
    bots Bool,
    kills SimpleAggregateFunction(sum, UInt64),
    deaths SimpleAggregateFunction(sum, UInt64),
    headshots SimpleAggregateFunction(sum, UInt64),
    shots_fired SimpleAggregateFunction(sum, UInt64),
    shots_hit SimpleAggregateFunction(sum, UInt64),
    damage SimpleAggregateFunction(sum, Decimal(38, 3)),
    last_seen SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
PARTITION BY day
ORDER BY (player_id, weapon, day, server_id, map_name, gametype, team, bots)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS weapon_stats_mv TO weapon_stats AS
SELECT
    toDate(event_at) AS day,
    weapon,
    if(side = 'player', raw_events.player_id, target_id) AS player_id,
    server_id,
    map_name,
    gametype,
    if(side = 'player', player_team, target_team) AS team,
    player_bot OR target_bot AS bots,
    countIf(side = 'player' AND kill_kind = 'kill') AS kills,
    countIf(side = 'target' AND kill_kind != '') AS deaths,
    countIf(side = 'player' AND is_headshot) AS headshots,
    countIf(side = 'player' AND type = 'weapon_fire') AS shots_fired,
    countIf(side = 'player' AND type = 'weapon_hit') AS shots_hit,
    sumIf(toDecimal128(least(greatest(ifNull(raw_events.damage, 0), -1000000), 1000000), 3), side = 'player' AND type = 'damage' AND is_hostile) AS damage,
    max(event_at) AS last_seen
FROM raw_events
ARRAY JOIN ['player', 'target'] AS side
WHERE weapon != '' AND type IN ('kill', 'weapon_fire', 'weapon_hit', 'damage')
    AND if(side = 'player', raw_events.player_id, target_id) != ''
GROUP BY day, weapon, if(side = 'player', raw_events.player_id, target_id), server_id, map_name, gametype, team, bots;

-- Where kills happened, in cells of 32 map units. `kills`: where the attacker stood; `victims`: where the
-- attacker's victims stood; `deaths`: where the player died.
CREATE TABLE IF NOT EXISTS kill_heatmap
(
    day Date,
    map_name LowCardinality(String),
    kind LowCardinality(String),
    player_id String,
    server_id UUID,
    weapon LowCardinality(String),
    team LowCardinality(String),
    bots Bool,
    cell_x Int32,
    cell_y Int32,
    count SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY day
ORDER BY (map_name, kind, player_id, weapon, team, server_id, bots, cell_x, cell_y)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS kill_heatmap_mv TO kill_heatmap AS
SELECT
    toDate(event_at) AS day,
    map_name,
    heat_kind AS kind,
    if(heat_kind = 'deaths', target_id, raw_events.player_id) AS player_id,
    server_id,
    weapon,
    if(heat_kind = 'deaths', target_team, player_team) AS team,
    player_bot OR target_bot AS bots,
    toInt32(floor(if(heat_kind = 'kills', player_x, target_x) / 32)) AS cell_x,
    toInt32(floor(if(heat_kind = 'kills', player_y, target_y) / 32)) AS cell_y,
    count() AS count
FROM raw_events
ARRAY JOIN ['kills', 'victims', 'deaths'] AS heat_kind
WHERE map_name != '' AND kill_kind != '' AND (heat_kind = 'deaths' OR kill_kind = 'kill')
    AND if(heat_kind = 'deaths', target_id, raw_events.player_id) != ''
    AND abs(if(heat_kind = 'kills', player_x, target_x)) <= 1000000
    AND abs(if(heat_kind = 'kills', player_y, target_y)) <= 1000000
GROUP BY day, map_name, kind, if(heat_kind = 'deaths', target_id, raw_events.player_id), server_id, weapon, team, bots, cell_x, cell_y;

-- A player's totals in one match: scoreboards, match lists, matches played, time played.
CREATE TABLE IF NOT EXISTS player_match_totals
(
    day Date,
    player_id String,
    match_id UUID,
    server_id UUID,
    bots Bool,
    map_name SimpleAggregateFunction(max, String),
    gametype SimpleAggregateFunction(max, String),
    player_name AggregateFunction(argMax, String, DateTime64(3, 'UTC')),
    team AggregateFunction(argMax, String, DateTime64(3, 'UTC')),
    events SimpleAggregateFunction(sum, UInt64),
    kills SimpleAggregateFunction(sum, UInt64),
    deaths SimpleAggregateFunction(sum, UInt64),
    headshots SimpleAggregateFunction(sum, UInt64),
    suicides SimpleAggregateFunction(sum, UInt64),
    team_kills SimpleAggregateFunction(sum, UInt64),
    damage SimpleAggregateFunction(sum, Decimal(38, 3)),
    shots_fired SimpleAggregateFunction(sum, UInt64),
    shots_hit SimpleAggregateFunction(sum, UInt64),
    summary_shots_fired SimpleAggregateFunction(sum, UInt64),
    summary_shots_hit SimpleAggregateFunction(sum, UInt64),
    first_seen SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    last_seen SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    INDEX by_match match_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = AggregatingMergeTree
PARTITION BY day
ORDER BY (player_id, match_id, server_id, bots)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS player_match_totals_mv TO player_match_totals AS
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
    max(event_at) AS last_seen
FROM raw_events
ARRAY JOIN ['player', 'target'] AS side
WHERE if(side = 'player', raw_events.player_id, target_id) != ''
GROUP BY day, if(side = 'player', raw_events.player_id, target_id), match_id, server_id, bots;

-- One match: when, where, how it stands.
CREATE TABLE IF NOT EXISTS matches
(
    day Date,
    match_id UUID,
    server_id UUID,
    source_match_id SimpleAggregateFunction(max, String),
    map_name SimpleAggregateFunction(max, String),
    gametype SimpleAggregateFunction(max, String),
    started_at SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    updated_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    ended_at SimpleAggregateFunction(max, Nullable(DateTime64(3, 'UTC'))),
    duration SimpleAggregateFunction(max, Nullable(Float32)),
    allies_score AggregateFunction(argMax, Int32, DateTime64(3, 'UTC')),
    axis_score AggregateFunction(argMax, Int32, DateTime64(3, 'UTC')),
    winning_team AggregateFunction(argMax, String, DateTime64(3, 'UTC')),
    player_count AggregateFunction(argMax, Int32, DateTime64(3, 'UTC')),
    max_clients SimpleAggregateFunction(max, Nullable(Int32)),
    round_number SimpleAggregateFunction(max, Nullable(Int32)),
    events SimpleAggregateFunction(sum, UInt64),
    kills SimpleAggregateFunction(sum, UInt64),
    INDEX by_match match_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = AggregatingMergeTree
PARTITION BY day
ORDER BY (server_id, match_id)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS matches_mv TO matches AS
SELECT
    toDate(event_at) AS day,
    match_id,
    server_id,
    max(raw_events.source_match_id) AS source_match_id,
    max(toString(raw_events.map_name)) AS map_name,
    max(toString(raw_events.gametype)) AS gametype,
    min(event_at) AS started_at,
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

-- Every name a player was seen under.
CREATE TABLE IF NOT EXISTS player_names
(
    day Date,
    player_id String,
    player_name String,
    first_seen SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    last_seen SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    events SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY day
ORDER BY (player_id, player_name)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS player_names_mv TO player_names AS
SELECT
    toDate(event_at) AS day,
    if(side = 'player', raw_events.player_id, target_id) AS player_id,
    if(side = 'player', raw_events.player_name, target_name) AS player_name,
    min(event_at) AS first_seen,
    max(event_at) AS last_seen,
    count() AS events
FROM raw_events
ARRAY JOIN ['player', 'target'] AS side
WHERE if(side = 'player', raw_events.player_id, target_id) != '' AND if(side = 'player', raw_events.player_name, target_name) != ''
GROUP BY day, if(side = 'player', raw_events.player_id, target_id), if(side = 'player', raw_events.player_name, target_name);

-- Who killed whom, where it hit: rivals and hit locations.
CREATE TABLE IF NOT EXISTS player_rivals_daily
(
    day Date,
    player_id String,
    target_id String,
    hitloc LowCardinality(String),
    bots Bool,
    kills SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree
PARTITION BY day
ORDER BY (player_id, target_id, hitloc, bots)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS player_rivals_daily_mv TO player_rivals_daily AS
SELECT
    toDate(event_at) AS day,
    player_id,
    target_id,
    hitloc,
    player_bot OR target_bot AS bots,
    count() AS kills
FROM raw_events
WHERE kill_kind = 'kill' AND player_id != '' AND target_id != ''
GROUP BY day, player_id, target_id, hitloc, bots;

-- Each kill and each death of a player, in one row: runs of kills without a death. Both sides of a kill event have a
-- row, but only a scoring kill has one for its attacker.
CREATE TABLE IF NOT EXISTS player_combat
(
    day Date,
    player_id String,
    match_id UUID,
    server_id UUID,
    map_name LowCardinality(String),
    gametype LowCardinality(String),
    team LowCardinality(String),
    bots Bool,
    level_time Nullable(Float64),
    event_at DateTime64(3, 'UTC'),
    spool_seq UInt64,
    spool_index UInt32,
    is_kill Bool,
    INDEX by_match match_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY day
ORDER BY (player_id, match_id, event_at, spool_seq, spool_index)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE MATERIALIZED VIEW IF NOT EXISTS player_combat_mv TO player_combat AS
SELECT
    toDate(event_at) AS day,
    if(side = 'player', raw_events.player_id, target_id) AS player_id,
    match_id,
    server_id,
    map_name,
    gametype,
    if(side = 'player', player_team, target_team) AS team,
    player_bot OR target_bot AS bots,
    level_time,
    event_at,
    spool_seq,
    spool_index,
    side = 'player' AS is_kill
FROM raw_events
ARRAY JOIN ['player', 'target'] AS side
WHERE kill_kind != '' AND (side = 'target' OR kill_kind = 'kill')
    AND if(side = 'player', raw_events.player_id, target_id) != '';
