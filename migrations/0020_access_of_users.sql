-- What signing out everywhere looks for.
CREATE INDEX login_links_by_user ON login_links (user_id);
CREATE INDEX device_codes_by_user ON device_codes (user_id);

-- Reasons of bans and names of devices are texts that may name anybody, and nothing is taken out of the log: they are not
-- written into it any more, and those that were go once. Reasons stand with the user, names of devices with the session.
ALTER TABLE audit_log DISABLE TRIGGER audit_log_is_append_only;
UPDATE audit_log SET after = after - 'reason' WHERE action = 'user.ban' AND after ? 'reason';
UPDATE audit_log SET after = NULL WHERE action IN ('user.approve_device', 'user.deny_device') AND after IS NOT NULL;
ALTER TABLE audit_log ENABLE TRIGGER audit_log_is_append_only;
