-- Whether a match's server said that it is over: by a match_end or a result. One that was only left, for another match or for
-- silence, decides nothing in a bracket.
ALTER TABLE match_summaries ADD COLUMN told_end boolean NOT NULL DEFAULT true;
