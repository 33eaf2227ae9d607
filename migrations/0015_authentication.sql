-- When the user of a session signed in: of a device, that of the session with which it was approved.
ALTER TABLE sessions ADD COLUMN authenticated_at timestamptz NOT NULL DEFAULT now();
UPDATE sessions SET authenticated_at = created_at;
ALTER TABLE device_codes ADD COLUMN authenticated_at timestamptz;

-- Every id of a person who is anonymous leads to the same one.
ALTER TABLE anonymous_players DROP CONSTRAINT anonymous_players_anonymous_id_key;
CREATE INDEX anonymous_players_by_anonymous_id ON anonymous_players (anonymous_id);
