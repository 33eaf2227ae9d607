-- The form in which search compares names: without colour codes, in lower case. Worked out once a name and day instead of
-- at each search, which reads this column alone and finds a part of a word anywhere in it.
--
-- Rows stored before have it by the default, worked out when they are read or merged, so there is nothing to fill.

ALTER TABLE player_names
    ADD COLUMN IF NOT EXISTS name_key SimpleAggregateFunction(max, String)
    DEFAULT lowerUTF8(trimBoth(replaceRegexpAll(player_name, '\\^[0-9]', ''))) AFTER player_name;

ALTER TABLE player_names_mv MODIFY QUERY
SELECT
    toDate(event_at) AS day,
    if(side = 'player', raw_events.player_id, target_id) AS player_id,
    if(side = 'player', raw_events.player_name, target_name) AS player_name,
    max(lowerUTF8(trimBoth(replaceRegexpAll(if(side = 'player', raw_events.player_name, target_name), '\\^[0-9]', '')))) AS name_key,
    min(event_at) AS first_seen,
    max(event_at) AS last_seen,
    count() AS events
FROM raw_events
ARRAY JOIN ['player', 'target'] AS side
WHERE if(side = 'player', raw_events.player_id, target_id) != '' AND if(side = 'player', raw_events.player_name, target_name) != ''
GROUP BY day, if(side = 'player', raw_events.player_id, target_id), if(side = 'player', raw_events.player_name, target_name);
