-- When a server was last heard of: about once in ten seconds, by whichever node it spoke to.
ALTER TABLE servers ADD COLUMN last_seen_at timestamptz;

-- Keys with which a game script may register one server once; only a hash is kept.
CREATE TABLE server_keys (
    key_hash bytea PRIMARY KEY CHECK (octet_length(key_hash) = 32),
    -- Whose server it will be; null for an operator's.
    created_by integer REFERENCES users (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    server_id uuid REFERENCES servers (id) ON DELETE SET NULL
);
CREATE INDEX server_keys_by_expiry ON server_keys (expires_at);
CREATE INDEX servers_by_owner ON servers (created_by) WHERE removed_at IS NULL;
