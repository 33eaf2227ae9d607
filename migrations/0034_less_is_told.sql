-- What is shown of a webhook's address ended before the last slash of its path: behind one at the end, or before what
-- Discord takes besides (/slack, /github), stood what opens it.
UPDATE webhooks SET shown_url =
    regexp_replace(shown_url, '^(https?://[^/]+/)(?:(api/)(?:v\d+/)?(webhooks/\d+/))?[^?]+(\?.*)?$', '\1\2\3…\4')
WHERE shown_url ~ '^https?://[^/]+/[^?]';

-- Names and descriptions of tournaments are texts that may name anybody, and nothing is taken out of the audit log: they are not
-- written into it any more, and those that were go once.
ALTER TABLE audit_log DISABLE TRIGGER audit_log_is_append_only;
UPDATE audit_log SET after = after - '{name,description}'::text[]
WHERE action IN ('tournament.create', 'tournament.import') AND after IS NOT NULL;
ALTER TABLE audit_log ENABLE TRIGGER audit_log_is_append_only;
