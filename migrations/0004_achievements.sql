CREATE TABLE achievements (
    slug text PRIMARY KEY,
    name text NOT NULL,
    description text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- The key makes unlocking idempotent: a rebuilt match may unlock again and changes nothing.
CREATE TABLE player_achievements (
    player_id text NOT NULL,
    achievement text NOT NULL REFERENCES achievements (slug) ON DELETE CASCADE,
    match_id uuid,
    unlocked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (player_id, achievement)
);
CREATE INDEX player_achievements_by_achievement ON player_achievements (achievement, unlocked_at);
