-- Accounts of other services that open one of ours.
CREATE TABLE sign_ins (
    provider text NOT NULL CHECK (provider IN ('discord', 'steam')),
    -- The account's id there.
    subject text NOT NULL CHECK (char_length(subject) BETWEEN 1 AND 64),
    user_id integer NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- What it was called there when it was last used.
    display_name text NOT NULL,
    linked_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, subject)
);
CREATE INDEX sign_ins_by_user ON sign_ins (user_id, linked_at);

ALTER TABLE users
    ADD COLUMN banned_at timestamptz,
    ADD COLUMN ban_reason text,
    -- A deleted account keeps its id, so that nobody else ever gets it.
    ADD COLUMN deleted_at timestamptz,
    -- Access tokens of an earlier generation open nothing.
    ADD COLUMN access_generation integer NOT NULL DEFAULT 0,
    ADD COLUMN access_changed_at timestamptz NOT NULL DEFAULT '-infinity';
CREATE INDEX users_by_access_change ON users (access_changed_at);

-- Whoever changes what a user may do can't forget the tokens that still say otherwise.
CREATE FUNCTION change_user_access() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (NEW.role, NEW.banned_at, NEW.deleted_at) IS DISTINCT FROM (OLD.role, OLD.banned_at, OLD.deleted_at) THEN
        NEW.access_generation := OLD.access_generation + 1;
        NEW.access_changed_at := now();
        PERFORM pg_notify('access', 'user ' || NEW.id);
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER user_access_changed BEFORE UPDATE OF role, banned_at, deleted_at ON users
    FOR EACH ROW EXECUTE FUNCTION change_user_access();

-- One sign-in of a browser, a device or an operator: what its refresh tokens belong to, and what signing out ends.
CREATE TABLE sessions (
    id uuid PRIMARY KEY,
    user_id integer NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('browser', 'device', 'operator')),
    -- By what its user knows it again.
    label text NOT NULL CHECK (char_length(label) BETWEEN 1 AND 100),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX sessions_by_user ON sessions (user_id, last_used_at);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_end ON sessions (ended_at) WHERE ended_at IS NOT NULL;

-- Every node hears of an end at once: access tokens name their session.
CREATE FUNCTION notify_session_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('access', 'session ' || NEW.id);
    RETURN NULL;
END
$$;
CREATE TRIGGER session_ended AFTER UPDATE OF ended_at ON sessions
    FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL) EXECUTE FUNCTION notify_session_ended();

-- SHA-256 of refresh tokens. Used ones stay: who shows one again has stolen it, or was stolen from.
CREATE TABLE refresh_tokens (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    session_id uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    used_at timestamptz
);
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id, used_at);
