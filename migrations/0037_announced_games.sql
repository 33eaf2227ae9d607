-- What servers say of the bracket matches they play belongs to games, not to servers: one may end and the next begin in one request.
CREATE TABLE tournament_announced_games (
    match_id uuid PRIMARY KEY,
    server_id uuid NOT NULL REFERENCES servers (id) ON DELETE CASCADE,
    tournament_id uuid NOT NULL REFERENCES tournaments (id) ON DELETE CASCADE,
    key text NOT NULL,
    -- By the match's token in an event, or by a result, which is the server's last word.
    said_by text NOT NULL CHECK (said_by IN ('token', 'result')),
    announced_at timestamptz NOT NULL DEFAULT now(),
    -- [{"player_id", "team"}], where a result named them.
    players jsonb
);
CREATE INDEX tournament_announced_games_by_tournament ON tournament_announced_games (tournament_id);

INSERT INTO tournament_announced_games (match_id, server_id, tournament_id, key, said_by, announced_at, players)
SELECT DISTINCT ON (match_id) match_id, server_id, tournament_id, key, 'result', announced_at, players
FROM tournament_announced_matches WHERE match_id IS NOT NULL ORDER BY match_id, announced_at DESC;

DROP TABLE tournament_announced_matches;

ALTER TABLE tournaments ADD COLUMN checkin_since timestamptz;

-- SHA-256 of the document that a tournament was imported from: one idempotency key is for one document.
ALTER TABLE tournaments ADD COLUMN creation_document bytea CHECK (octet_length(creation_document) = 32);
