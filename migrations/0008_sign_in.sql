-- Answers of OpenID providers that were taken: each is good once. They are fresh for minutes only.
CREATE TABLE openid_nonces (
    nonce text PRIMARY KEY CHECK (char_length(nonce) BETWEEN 1 AND 255),
    taken_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX openid_nonces_by_age ON openid_nonces (taken_at);

-- Devices that ask to be signed in (RFC 8628); only hashes of the codes are kept.
CREATE TABLE device_codes (
    device_code_hash bytea PRIMARY KEY CHECK (octet_length(device_code_hash) = 32),
    user_code_hash bytea NOT NULL UNIQUE CHECK (octet_length(user_code_hash) = 32),
    client_name text NOT NULL CHECK (char_length(client_name) BETWEEN 1 AND 100),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    interval_seconds integer NOT NULL,
    last_polled_at timestamptz,
    -- The user who answered, and what.
    user_id integer REFERENCES users (id) ON DELETE CASCADE,
    approved boolean,
    -- When the device got its tokens.
    used_at timestamptz
);
CREATE INDEX device_codes_by_expiry ON device_codes (expires_at);
