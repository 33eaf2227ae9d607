-- An account that is deleted takes its name along from tournaments too: from places, and from what their logs say of those
-- places. The log is append-only but for that: no other word of an entry changes, and replayed it gives the same bracket.

-- By whom places were taken, under whose names.
CREATE INDEX tournament_log_registrations ON tournament_log ((command #>> '{holder,user}'))
    WHERE command ->> 'command' = 'register';

CREATE OR REPLACE FUNCTION keep_tournament_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('mohaa.forgets_names', true) = 'on'
        AND to_jsonb(NEW) - '{changes,command}'::text[] = to_jsonb(OLD) - '{changes,command}'::text[] THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.user_id IS NULL
        AND to_jsonb(NEW) - 'user_id' = to_jsonb(OLD) - 'user_id' THEN
        RETURN NEW;
    END IF;
    -- With its tournament, which is deleted as a draft alone.
    IF TG_OP = 'DELETE' AND NOT EXISTS (SELECT 1 FROM tournaments WHERE id = OLD.tournament_id) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the log of a tournament is append-only';
END
$$;

-- What is held by this user, under another name; anything else as it is.
CREATE FUNCTION named_otherwise(held jsonb, user_id integer, name text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN held #>> '{holder,user}' = user_id::text THEN jsonb_set(held, '{name}', to_jsonb(name)) ELSE held END
$$;

-- Takes a user's name out of every tournament. Each gets a version more, with an entry of the log, so that no node goes on
-- with what it remembers.
CREATE FUNCTION forget_in_tournaments(forgotten integer, name_instead text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    concerned uuid[] := ARRAY(
        SELECT DISTINCT tournament_id FROM tournament_log
        WHERE command ->> 'command' = 'register' AND command #>> '{holder,user}' = forgotten::text);
BEGIN
    PERFORM FROM tournaments WHERE id = ANY (concerned) ORDER BY id FOR NO KEY UPDATE;
    PERFORM set_config('mohaa.forgets_names', 'on', true);
    UPDATE tournament_log SET
        command = named_otherwise(command, forgotten, name_instead),
        changes = coalesce((
            SELECT jsonb_agg(CASE change ->> 'part'
                WHEN 'entrant' THEN change || jsonb_build_object(
                    'before', named_otherwise(change -> 'before', forgotten, name_instead),
                    'after', named_otherwise(change -> 'after', forgotten, name_instead))
                ELSE change END ORDER BY position)
            FROM jsonb_array_elements(changes) WITH ORDINALITY AS every (change, position)), '[]')
    WHERE tournament_id = ANY (concerned) AND (command #>> '{holder,user}' = forgotten::text OR EXISTS (
        SELECT FROM jsonb_array_elements(changes) AS every (change)
        WHERE forgotten::text IN (change #>> '{before,holder,user}', change #>> '{after,holder,user}')));
    PERFORM set_config('mohaa.forgets_names', 'off', true);
    UPDATE tournament_participants SET name = name_instead
    WHERE user_id = forgotten AND tournament_id = ANY (concerned);
    INSERT INTO tournament_log (tournament_id, version, at, by, command, changes)
    SELECT id, version + 1, now(), '"clock"', jsonb_build_object('command', 'forget', 'user', forgotten), '[]'
    FROM tournaments WHERE id = ANY (concerned);
    UPDATE tournaments SET version = version + 1, updated_at = now() WHERE id = ANY (concerned);
    PERFORM pg_notify('tournaments', id || ' ' || version) FROM tournaments WHERE id = ANY (concerned);
END
$$;

-- Of those who left before.
SELECT forget_in_tournaments(id, 'deleted user') FROM users WHERE deleted_at IS NOT NULL;
