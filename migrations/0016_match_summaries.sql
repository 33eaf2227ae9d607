-- How a match ended, written when it does and whenever it is corrected: what ratings and tournaments begin with.
CREATE TABLE match_summaries (
    match_id uuid PRIMARY KEY,
    server_id uuid NOT NULL,
    -- What the server calls it, `''` where it has no name.
    source_match_id text NOT NULL,
    map_name text NOT NULL,
    gametype text NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    allies_score integer NOT NULL,
    axis_score integer NOT NULL,
    winning_team text NOT NULL,
    -- [{"player_id", "team", "guest", "bot", "kills", "deaths", "playtime_seconds"}], by player id.
    players jsonb NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX match_summaries_by_end ON match_summaries (ended_at);

-- Whoever rates or advances a bracket hears of it at once, on every node.
CREATE FUNCTION notify_match_summed_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('match_summaries', NEW.match_id::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER match_summed_up AFTER INSERT OR UPDATE ON match_summaries
    FOR EACH ROW EXECUTE FUNCTION notify_match_summed_up();
