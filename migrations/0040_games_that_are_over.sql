-- Its server has said that the game is over: what comes behind that with another token is of the next one.
ALTER TABLE tournament_announced_games ADD COLUMN is_over boolean NOT NULL DEFAULT false;
