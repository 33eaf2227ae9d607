-- Game servers. A removed server keeps its row: its matches stay readable under its name.
CREATE TABLE servers (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    address text,
    port integer CHECK (port BETWEEN 1 AND 65535),
    region text,
    description text,
    -- The address a game script registered from; null for a server made by an operator.
    registered_from text,
    created_by integer REFERENCES users (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Null: waiting for an admin; its events are held until then.
    approved_at timestamptz,
    removed_at timestamptz
);
CREATE INDEX servers_by_name ON servers (lower(name));
CREATE INDEX servers_by_registration ON servers (registered_from, address, port);

-- Tokens of game servers, as SHA-256 hashes. A revoked token never becomes valid again.
CREATE TABLE server_tokens (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    server_id uuid NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    token_hash bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
CREATE INDEX server_tokens_live ON server_tokens (server_id, created_at) WHERE revoked_at IS NULL;

-- Every node keeps the live tokens in memory; it hears of a change on the channel `server_tokens`:
-- the hash in hex when one token changed, the server's id when the server did.
CREATE FUNCTION notify_server_token_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM pg_notify('server_tokens', encode(OLD.token_hash, 'hex'));
    ELSE
        PERFORM pg_notify('server_tokens', encode(NEW.token_hash, 'hex'));
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER server_tokens_changed AFTER INSERT OR UPDATE OR DELETE ON server_tokens
    FOR EACH ROW EXECUTE FUNCTION notify_server_token_changed();

CREATE FUNCTION notify_server_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('server_tokens', OLD.id::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER servers_changed AFTER UPDATE OF name, approved_at, removed_at OR DELETE ON servers
    FOR EACH ROW EXECUTE FUNCTION notify_server_changed();
