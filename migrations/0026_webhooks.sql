-- Addresses that are told of what happens. The address and the secret are sealed with a key made of JWT_SECRET: an address
-- holds credentials too, as Discord's do.
CREATE TABLE webhooks (
    id uuid PRIMARY KEY,
    owner_id integer NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('generic', 'discord')),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 100),
    url_sealed bytea NOT NULL,
    -- The address without what opens it.
    shown_url text NOT NULL,
    -- Null where messages are not signed.
    secret_sealed bytea,
    events text[] NOT NULL CHECK (cardinality(events) > 0),
    -- Null: of every tournament that its owner may see.
    tournament_id uuid REFERENCES tournaments (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Since when nothing has come through; null after a success.
    failing_since timestamptz,
    failures integer NOT NULL DEFAULT 0,
    disabled_at timestamptz,
    disabled_reason text,
    -- One node sends to it at a time, one message at a time, until then.
    claim uuid,
    claimed_until timestamptz,
    -- After a failure the receiver is left alone until then.
    paused_until timestamptz,
    last_tried_at timestamptz
);
CREATE INDEX webhooks_by_owner ON webhooks (owner_id, created_at);

-- The outbox and, once sent, the log: one row for each event and webhook, written in the transaction of what it tells of.
CREATE TABLE webhook_deliveries (
    id uuid PRIMARY KEY,
    sequence bigint GENERATED ALWAYS AS IDENTITY,
    webhook_id uuid NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event text NOT NULL,
    tournament_id uuid,
    at timestamptz NOT NULL,
    data jsonb NOT NULL,
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'given_up')),
    attempts integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    next_try_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    -- Of the last attempt.
    response_code integer,
    duration_ms integer,
    error text
);
CREATE INDEX webhook_deliveries_by_webhook ON webhook_deliveries (webhook_id, sequence);
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (webhook_id, sequence) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries (created_at);

-- Every node sends; it hears of something new on the channel `webhook_deliveries`.
CREATE FUNCTION notify_webhook_deliveries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added) THEN
        PERFORM pg_notify('webhook_deliveries', '');
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER webhook_deliveries_added AFTER INSERT ON webhook_deliveries
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION notify_webhook_deliveries();
