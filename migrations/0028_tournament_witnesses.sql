-- Game servers as witnesses of bracket matches.

-- The bracket match that a server says it plays: by its match's token in an event, or by a result that names it.
CREATE TABLE tournament_announced_matches (
    server_id uuid PRIMARY KEY REFERENCES servers (id) ON DELETE CASCADE,
    tournament_id uuid NOT NULL REFERENCES tournaments (id) ON DELETE CASCADE,
    key text NOT NULL,
    announced_at timestamptz NOT NULL DEFAULT now(),
    -- The game that is meant, where it was named.
    match_id uuid,
    -- [{"player_id", "team"}], where a result named them.
    players jsonb
);

-- How a match ended is looked at once for brackets: whatever corrects it later does not touch a tournament.
ALTER TABLE match_summaries ADD COLUMN witnessed boolean NOT NULL DEFAULT true;
ALTER TABLE match_summaries ALTER COLUMN witnessed SET DEFAULT false;
CREATE INDEX match_summaries_to_witness ON match_summaries (ended_at) WHERE NOT witnessed;

-- The games of bracket matches, as servers played them.
CREATE TABLE tournament_games (
    match_id uuid PRIMARY KEY,
    tournament_id uuid NOT NULL REFERENCES tournaments (id) ON DELETE CASCADE,
    key text NOT NULL
);
CREATE INDEX tournament_games_by_tournament ON tournament_games (tournament_id);
