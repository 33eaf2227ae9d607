-- How an id came to belong to a user.
ALTER TABLE user_identities ADD COLUMN linked_by text NOT NULL DEFAULT 'claim' CHECK (linked_by IN ('claim', 'admin'));

-- Short codes that a user types in the game; only a hash is kept. One of a kind and user lives at a time.
CREATE TABLE identity_codes (
    code_hash bytea PRIMARY KEY CHECK (octet_length(code_hash) = 32),
    purpose text NOT NULL CHECK (purpose IN ('game_login', 'claim')),
    user_id integer NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX identity_codes_by_user ON identity_codes (user_id, purpose);
CREATE INDEX identity_codes_by_expiry ON identity_codes (expires_at);

-- Two ids of one person, joined by an admin. Events are not touched: an undone merge leaves nothing behind.
CREATE TABLE player_merges (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    from_player text NOT NULL CHECK (from_player <> ''),
    into_player text NOT NULL CHECK (into_player <> '' AND into_player <> from_player),
    merged_by integer REFERENCES users (id) ON DELETE SET NULL,
    merged_at timestamptz NOT NULL DEFAULT now(),
    undone_by integer REFERENCES users (id) ON DELETE SET NULL,
    undone_at timestamptz
);
CREATE UNIQUE INDEX player_merges_live ON player_merges (from_player) WHERE undone_at IS NULL;

-- Players whose names are not shown any more, under which id they are instead.
CREATE TABLE anonymous_players (
    player_id text PRIMARY KEY CHECK (player_id <> ''),
    anonymous_id text NOT NULL UNIQUE CHECK (anonymous_id LIKE 'anon\_%'),
    anonymised_at timestamptz NOT NULL DEFAULT now()
);

-- Whoever answers questions about players hears that somebody is somebody else now.
CREATE FUNCTION notify_players_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('players', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER user_identities_changed AFTER INSERT OR UPDATE OR DELETE ON user_identities
    FOR EACH STATEMENT EXECUTE FUNCTION notify_players_changed();
CREATE TRIGGER player_merges_changed AFTER INSERT OR UPDATE OR DELETE ON player_merges
    FOR EACH STATEMENT EXECUTE FUNCTION notify_players_changed();
CREATE TRIGGER anonymous_players_changed AFTER INSERT OR UPDATE OR DELETE ON anonymous_players
    FOR EACH STATEMENT EXECUTE FUNCTION notify_players_changed();
