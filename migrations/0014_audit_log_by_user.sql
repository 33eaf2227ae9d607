-- A user's own entries, for what they take along when they ask for their data.
CREATE INDEX audit_log_by_user ON audit_log (user_id, id);
