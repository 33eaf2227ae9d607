-- Teams that enter tournaments. A disbanded one keeps its row, because its id stands in tournaments; its name is free again.
CREATE TABLE teams (
    id uuid PRIMARY KEY,
    name text NOT NULL CHECK (char_length(name) BETWEEN 1 AND 64),
    -- The name as names are compared: without colours and what can't be seen, in small letters.
    name_key text NOT NULL CHECK (name_key <> ''),
    tag text CHECK (char_length(tag) BETWEEN 1 AND 24),
    created_at timestamptz NOT NULL DEFAULT now(),
    disbanded_at timestamptz
);
CREATE UNIQUE INDEX teams_by_name ON teams (name_key) WHERE disbanded_at IS NULL;

CREATE TABLE team_members (
    team_id uuid NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    user_id integer NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('captain', 'member', 'substitute')),
    joined_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (team_id, user_id)
);
CREATE INDEX team_members_by_user ON team_members (user_id, joined_at);
-- A team has one captain; that it never is without one is seen to where members leave.
CREATE UNIQUE INDEX team_members_captain ON team_members (team_id) WHERE role = 'captain';

-- Invitations: of a user, or of whoever shows a code, of which only a hash is kept.
CREATE TABLE team_invites (
    id uuid PRIMARY KEY,
    team_id uuid NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    user_id integer REFERENCES users (id) ON DELETE CASCADE,
    code_hash bytea UNIQUE CHECK (octet_length(code_hash) = 32),
    -- How many may still join by it.
    uses_left integer NOT NULL DEFAULT 1 CHECK (uses_left >= 0),
    created_by integer REFERENCES users (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'accepted', 'declined', 'revoked')),
    answered_at timestamptz,
    CHECK ((user_id IS NULL) <> (code_hash IS NULL))
);
CREATE UNIQUE INDEX team_invites_open ON team_invites (team_id, user_id) WHERE status = 'open';
CREATE INDEX team_invites_by_team ON team_invites (team_id, created_at);
CREATE INDEX team_invites_by_user ON team_invites (user_id, created_at) WHERE user_id IS NOT NULL;
CREATE INDEX team_invites_by_expiry ON team_invites (expires_at);
