-- What was answered to changes of teams that carried an Idempotency-Key, for a day: written in the transaction of the change.
-- Codes of invitations are not among it.
CREATE TABLE answered_requests (
    user_id integer NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    key text NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 256),
    -- SHA-256 of method, path and body.
    asked bytea NOT NULL CHECK (octet_length(asked) = 32),
    answer jsonb NOT NULL,
    answered_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, key)
);
