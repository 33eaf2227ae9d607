-- What a tournament is, so that it can be put together from its rows and every mutation be taken back.
--
-- A mutation is one transaction: the row of the tournament under the condition that its version is the one that the
-- mutation was made from, the rows that it changed, and one row of the log.
ALTER TABLE tournaments
    ADD COLUMN last_entrant integer NOT NULL DEFAULT 0,
    -- Seeds, groups and the random number, as the bracket was made.
    ADD COLUMN draw jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN checkin_is_over boolean NOT NULL DEFAULT false,
    ADD COLUMN clock_is_held boolean NOT NULL DEFAULT false,
    ADD COLUMN held_up text,
    -- When time does something to it next.
    ADD COLUMN next_deadline timestamptz,
    -- Settings as they were first: the log is replayed from them.
    ADD COLUMN draft jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN creation_key text;
CREATE UNIQUE INDEX tournaments_by_creation_key ON tournaments (owner_id, creation_key) WHERE creation_key IS NOT NULL;
CREATE INDEX tournaments_by_deadline ON tournaments (next_deadline) WHERE next_deadline IS NOT NULL;
CREATE INDEX tournaments_by_name ON tournaments (lower(name));

-- Organizers besides the owner, and referees.
CREATE TABLE tournament_staff (
    tournament_id uuid NOT NULL REFERENCES tournaments (id) ON DELETE CASCADE,
    user_id integer NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('organizer', 'referee')),
    PRIMARY KEY (tournament_id, user_id)
);
CREATE INDEX tournament_staff_by_user ON tournament_staff (user_id);

CREATE TABLE tournament_participants (
    tournament_id uuid NOT NULL REFERENCES tournaments (id) ON DELETE CASCADE,
    -- Its number within the tournament, from 1.
    id integer NOT NULL,
    -- Both null: entered by an organizer, by name alone.
    user_id integer REFERENCES users (id),
    team_id uuid,
    name text NOT NULL,
    player_id text,
    place text NOT NULL CHECK (place IN
        ('registered', 'waiting', 'withdrawn', 'no_show', 'dropped_out', 'disqualified')),
    left_at bigint,
    reason text,
    checked_in boolean NOT NULL,
    rating double precision,
    seed integer,
    -- Milliseconds since 1970, like all moments that rules reckon with.
    registered_at bigint NOT NULL,
    PRIMARY KEY (tournament_id, id)
);
CREATE INDEX tournament_participants_by_user ON tournament_participants (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX tournament_participants_by_team ON tournament_participants (team_id) WHERE team_id IS NOT NULL;

-- Nothing was ever written to these: `state` is the match, the other columns are what it is looked up by.
ALTER TABLE tournament_matches
    DROP COLUMN flags,
    DROP COLUMN slots,
    DROP COLUMN games,
    DROP COLUMN game_match_id,
    DROP COLUMN map,
    ADD COLUMN state jsonb NOT NULL;
CREATE INDEX tournament_matches_by_server ON tournament_matches (server_id) WHERE server_id IS NOT NULL;

CREATE TABLE tournament_log (
    tournament_id uuid NOT NULL REFERENCES tournaments (id) ON DELETE CASCADE,
    -- Of the tournament after it.
    version bigint NOT NULL,
    at timestamptz NOT NULL,
    user_id integer REFERENCES users (id) ON DELETE SET NULL,
    -- As the rules were told: organizer, captain, server, clock.
    by jsonb NOT NULL,
    -- The command; null: an undo.
    command jsonb,
    -- What was there before and after.
    changes jsonb NOT NULL,
    -- The version that it took back.
    undoes bigint,
    fallen text[] NOT NULL DEFAULT '{}',
    entrant integer,
    idempotency_key text,
    PRIMARY KEY (tournament_id, version)
);
CREATE UNIQUE INDEX tournament_log_by_key ON tournament_log (tournament_id, by, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX tournament_log_by_user ON tournament_log (user_id) WHERE user_id IS NOT NULL;

CREATE FUNCTION keep_tournament_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
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
CREATE TRIGGER tournament_log_is_append_only BEFORE UPDATE OR DELETE ON tournament_log
    FOR EACH ROW EXECUTE FUNCTION keep_tournament_log();
