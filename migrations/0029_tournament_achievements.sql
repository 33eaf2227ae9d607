-- Achievements that are earned in tournaments, as these are completed.
--
-- What a tournament gave is a function of the tournament as it was completed, so a correction may take something back. Everything
-- earned is kept here, whoever has it already from another tournament: what is taken back in one may still be had from another.

ALTER TABLE achievements DROP CONSTRAINT achievements_category_check;
ALTER TABLE achievements ADD CONSTRAINT achievements_category_check CHECK (category IN
    ('combat', 'weapons', 'streaks', 'feats', 'service', 'objectives', 'tournaments', 'curiosities', 'rueful'));

-- A document that says who won is no reason to believe it.
ALTER TABLE tournaments ADD COLUMN imported boolean NOT NULL DEFAULT false;

-- In which tournament it was earned; then there is no match.
ALTER TABLE player_achievements ADD COLUMN tournament_id uuid REFERENCES tournaments (id) ON DELETE CASCADE;
CREATE INDEX player_achievements_by_tournament ON player_achievements (tournament_id) WHERE tournament_id IS NOT NULL;

-- Who played for whom, as the tournament was completed first: teams change.
CREATE TABLE tournament_players (
    tournament_id uuid NOT NULL REFERENCES tournaments (id) ON DELETE CASCADE,
    participant integer NOT NULL,
    player_id text NOT NULL CHECK (player_id <> ''),
    PRIMARY KEY (tournament_id, participant, player_id)
);

CREATE TABLE tournament_achievements (
    tournament_id uuid NOT NULL REFERENCES tournaments (id) ON DELETE CASCADE,
    player_id text NOT NULL CHECK (player_id <> ''),
    achievement text NOT NULL,
    tier smallint NOT NULL,
    earned_at timestamptz NOT NULL,
    -- False: a correction took it back.
    stands boolean NOT NULL DEFAULT true,
    -- Webhooks hear of it once, however often it is taken back and given again.
    is_told boolean NOT NULL DEFAULT false,
    PRIMARY KEY (tournament_id, player_id, achievement, tier),
    FOREIGN KEY (achievement, tier) REFERENCES achievement_tiers (achievement, tier) ON DELETE CASCADE
);
CREATE INDEX tournament_achievements_by_player ON tournament_achievements (player_id, achievement, tier);
CREATE INDEX tournament_achievements_by_tier ON tournament_achievements (achievement, tier);

-- Four entrants at least: a tournament of two friends proves nothing.
INSERT INTO achievements (position, category, slug, name, icon, hidden, description, rule) VALUES
    (6500, 'tournaments', 'cup-part', 'Fall In', 'pennant', false,
     'Play a tournament to its end.',
     '{"scope": "tournament", "measure": {"tournament": "part"},
       "require": [{"measure": {"tournament": "field"}, "at_least": 4}]}'),
    (6510, 'tournaments', 'cup-wins', 'On the Board', 'bracket', false,
     'Win matches in one tournament.',
     '{"scope": "tournament", "measure": {"tournament": "wins"},
       "require": [{"measure": {"tournament": "field"}, "at_least": 4}]}'),
    (6520, 'tournaments', 'cup-champion', 'Victory Parade', 'trophy', false,
     'Win a tournament of so many entrants.',
     '{"scope": "tournament", "measure": {"tournament": "field"}, "require": [
         {"measure": {"tournament": "place"}, "at_least": 1, "at_most": 1},
         {"measure": {"tournament": "sharing"}, "at_most": 0}]}'),
    (6530, 'tournaments', 'cup-runner-up', 'Second in Command', 'medal-second', false,
     'Come second in a tournament of so many entrants.',
     '{"scope": "tournament", "measure": {"tournament": "field"}, "require": [
         {"measure": {"tournament": "place"}, "at_least": 2, "at_most": 2},
         {"measure": {"tournament": "sharing"}, "at_most": 0}]}'),
    (6540, 'tournaments', 'cup-third', 'Mentioned in Dispatches', 'medal-third', false,
     'Come third in a tournament of so many entrants, with one other at most.',
     '{"scope": "tournament", "measure": {"tournament": "field"}, "require": [
         {"measure": {"tournament": "place"}, "at_least": 3, "at_most": 3},
         {"measure": {"tournament": "sharing"}, "at_most": 1}]}'),
    (6550, 'tournaments', 'cup-undefeated', 'Not a Step Back', 'rampart', false,
     'Win a tournament and so many matches of it without a defeat or a draw.',
     '{"scope": "tournament", "measure": {"tournament": "wins"}, "require": [
         {"measure": {"tournament": "field"}, "at_least": 4},
         {"measure": {"tournament": "place"}, "at_least": 1, "at_most": 1},
         {"measure": {"tournament": "sharing"}, "at_most": 0},
         {"measure": {"tournament": "defeats"}, "at_most": 0},
         {"measure": {"tournament": "draws"}, "at_most": 0}]}'),
    (6560, 'tournaments', 'cup-no-game-lost', 'Clean Sweep', 'tally', false,
     'Win a tournament and so many series of it without losing a single game.',
     '{"scope": "tournament", "measure": {"tournament": "series_won"}, "require": [
         {"measure": {"tournament": "field"}, "at_least": 4},
         {"measure": {"tournament": "place"}, "at_least": 1, "at_most": 1},
         {"measure": {"tournament": "sharing"}, "at_most": 0},
         {"measure": {"tournament": "games_lost"}, "at_most": 0},
         {"measure": {"tournament": "draws"}, "at_most": 0}]}'),
    (6570, 'tournaments', 'cup-lower-bracket', 'The Long Way Round', 'detour', false,
     'Win a tournament by way of so many matches of the lower bracket.',
     '{"scope": "tournament", "measure": {"tournament": "lower_wins"}, "require": [
         {"measure": {"tournament": "place"}, "at_least": 1, "at_most": 1}]}'),
    (6580, 'tournaments', 'cup-reverse-sweep', 'From the Brink', 'pendulum', false,
     'Win a series after losing the first two games, or more, with the next one deciding.',
     '{"scope": "tournament", "measure": {"tournament": "reverse_sweeps"},
       "require": [{"measure": {"tournament": "field"}, "at_least": 4}]}'),
    (6590, 'tournaments', 'cup-upset', 'Upset of the Round', 'scales', false,
     'Beat somebody who was rated higher and is seeded so many places above you.',
     '{"scope": "tournament", "measure": {"tournament": "upset"}}'),
    (6600, 'tournaments', 'cup-shutouts', 'Nobody Passes', 'barrier', false,
     'Win matches of one tournament with nothing on the other side''s score.',
     '{"scope": "tournament", "measure": {"tournament": "shutouts"},
       "require": [{"measure": {"tournament": "field"}, "at_least": 4}]}');

INSERT INTO achievement_tiers (achievement, tier, threshold, points)
SELECT achievement, step.tier, step.threshold, step.points
FROM (VALUES
    ('cup-part', ARRAY[1], ARRAY[10]),
    ('cup-wins', ARRAY[1, 3, 5, 8], ARRAY[10, 20, 35, 60]),
    ('cup-champion', ARRAY[4, 8, 16, 32], ARRAY[40, 60, 80, 100]),
    ('cup-runner-up', ARRAY[4, 8, 16, 32], ARRAY[20, 30, 45, 60]),
    ('cup-third', ARRAY[6, 12, 24], ARRAY[15, 25, 40]),
    ('cup-undefeated', ARRAY[2, 4, 6], ARRAY[30, 50, 80]),
    ('cup-no-game-lost', ARRAY[2, 3, 5], ARRAY[30, 50, 80]),
    ('cup-lower-bracket', ARRAY[2, 4, 6], ARRAY[40, 60, 90]),
    ('cup-reverse-sweep', ARRAY[1], ARRAY[60]),
    ('cup-upset', ARRAY[4, 8, 16], ARRAY[20, 40, 75]),
    ('cup-shutouts', ARRAY[1, 3, 5], ARRAY[10, 30, 60])
) AS of (achievement, thresholds, points),
    unnest(of.thresholds, of.points) WITH ORDINALITY AS step (threshold, points, tier);
