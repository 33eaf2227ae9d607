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

-- Nothing changes an entry of the audit log, not even a mistake of ours; a user who is gone may leave it.
CREATE FUNCTION keep_audit_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.user_id IS NULL
        AND to_jsonb(NEW) - 'user_id' = to_jsonb(OLD) - 'user_id' THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only';
END
$$;
CREATE TRIGGER audit_log_is_append_only BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION keep_audit_log();
CREATE TRIGGER audit_log_is_not_emptied BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION keep_audit_log();
