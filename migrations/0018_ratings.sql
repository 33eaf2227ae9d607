-- Ratings follow from match summaries, in the order of history: when a match ended, then its id. What is here can be
-- worked out anew from them at any time, and is whenever an earlier match is corrected or somebody turns out to be
-- somebody else.

CREATE INDEX match_summaries_in_order ON match_summaries (ended_at, match_id);
-- Its beginning was the whole of this one.
DROP INDEX match_summaries_by_end;
-- From which match on ratings change when ids turn out to be one person's.
CREATE INDEX match_summaries_by_player ON match_summaries USING gin (players jsonb_path_ops);

-- What each match changed about each person who was rated in it.
CREATE TABLE match_ratings (
    match_id uuid NOT NULL,
    -- Of the person.
    player_id text NOT NULL,
    -- Of the match: with match_id its place in history.
    ended_at timestamptz NOT NULL,
    -- Which one of the person's rated matches it is, from 1.
    ordinal integer NOT NULL,
    value_before double precision NOT NULL,
    deviation_before double precision NOT NULL,
    value_after double precision NOT NULL,
    deviation_after double precision NOT NULL,
    PRIMARY KEY (match_id, player_id)
);
CREATE INDEX match_ratings_in_order ON match_ratings (ended_at, match_id);
CREATE INDEX match_ratings_by_player ON match_ratings (player_id, ended_at, match_id);

-- Everybody's rating now: what their last rated match left, for the copy in ClickHouse.
CREATE SEQUENCE player_ratings_revision;
CREATE TABLE player_ratings (
    player_id text PRIMARY KEY,
    value double precision NOT NULL,
    deviation double precision NOT NULL,
    -- Rated ones. 0 says that there is no rating any more.
    matches integer NOT NULL,
    -- Rises with every change: whoever copies asks for what is newer than what they have.
    revision bigint NOT NULL DEFAULT nextval('player_ratings_revision')
);
CREATE UNIQUE INDEX player_ratings_by_revision ON player_ratings (revision);

-- Ids that were rated as somebody else's.
CREATE TABLE rated_identities (
    player_id text PRIMARY KEY,
    canonical_id text NOT NULL
);

-- Matches whose summary has changed since it was rated. Only ever added to, and cleared by row number: whoever writes a
-- summary never waits for a rating that is under way, and what is written meanwhile is rated next.
CREATE TABLE matches_to_rate (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    match_id uuid NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);
INSERT INTO matches_to_rate (match_id) SELECT match_id FROM match_summaries;

CREATE FUNCTION match_is_to_be_rated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO matches_to_rate (match_id) VALUES (coalesce(NEW.match_id, OLD.match_id));
    RETURN NULL;
END
$$;
CREATE TRIGGER match_ended AFTER INSERT OR DELETE ON match_summaries
    FOR EACH ROW EXECUTE FUNCTION match_is_to_be_rated();
CREATE TRIGGER match_corrected AFTER UPDATE ON match_summaries
    FOR EACH ROW WHEN (
        (OLD.gametype, OLD.ended_at, OLD.allies_score, OLD.axis_score, OLD.winning_team, OLD.players)
        IS DISTINCT FROM
        (NEW.gametype, NEW.ended_at, NEW.allies_score, NEW.axis_score, NEW.winning_team, NEW.players))
    EXECUTE FUNCTION match_is_to_be_rated();
