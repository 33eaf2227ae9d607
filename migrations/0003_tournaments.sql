-- The truth about a tournament. `version` grows by one with each mutation and guards it: two nodes that
-- change one tournament at once can't both commit.
CREATE TABLE tournaments (
    id uuid PRIMARY KEY,
    version bigint NOT NULL DEFAULT 1 CHECK (version > 0),
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    description text NOT NULL DEFAULT '',
    format text NOT NULL CHECK (format IN
        ('single_elimination', 'double_elimination', 'round_robin', 'swiss', 'group_stage')),
    status text NOT NULL DEFAULT 'draft' CHECK (status IN
        ('draft', 'registration_open', 'registration_closed', 'checkin', 'in_progress', 'completed', 'cancelled')),
    owner_id integer NOT NULL REFERENCES users (id),
    max_participants integer NOT NULL DEFAULT 64 CHECK (max_participants >= 2),
    min_participants integer NOT NULL DEFAULT 2 CHECK (min_participants >= 2),
    team_size integer NOT NULL DEFAULT 1 CHECK (team_size >= 1),
    best_of integer NOT NULL DEFAULT 1 CHECK (best_of IN (1, 3, 5, 7)),
    seeding text NOT NULL DEFAULT 'inner_outer',
    game_mode text,
    map_pool text[] NOT NULL DEFAULT '{}',
    timelimit integer,
    fraglimit integer,
    roundlimit integer,
    registration_start timestamptz,
    registration_end timestamptz,
    checkin_start timestamptz,
    checkin_end timestamptz,
    start_time timestamptz,
    options jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX tournaments_by_status ON tournaments (status, start_time);

-- One row a bracket match; `key` is its name in the bracket (R2.1, W1.3, GF1, S3.2).
CREATE TABLE tournament_matches (
    id uuid PRIMARY KEY,
    tournament_id uuid NOT NULL REFERENCES tournaments (id) ON DELETE CASCADE,
    key text NOT NULL,
    status text NOT NULL CHECK (status IN ('locked', 'waiting', 'ready', 'running', 'completed')),
    flags text[] NOT NULL DEFAULT '{}',
    slots jsonb NOT NULL,
    games jsonb NOT NULL DEFAULT '[]',
    server_id uuid REFERENCES servers (id) ON DELETE SET NULL,
    -- SHA-256 of the token that a game server sends to say that it plays this match.
    match_token_hash bytea UNIQUE CHECK (octet_length(match_token_hash) = 32),
    game_match_id uuid,
    map text,
    scheduled_at timestamptz,
    UNIQUE (tournament_id, key)
);
CREATE INDEX tournament_matches_by_game ON tournament_matches (game_match_id) WHERE game_match_id IS NOT NULL;
