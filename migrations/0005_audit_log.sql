-- Who changed what, and how it was before: written in the transaction of the change itself.
CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    -- Null: the service itself, a game server, or an operator at the command line; `actor` says which.
    user_id integer REFERENCES users (id) ON DELETE SET NULL,
    actor text NOT NULL,
    action text NOT NULL,
    subject_kind text NOT NULL,
    subject_id text NOT NULL,
    before jsonb,
    after jsonb
);
CREATE INDEX audit_log_by_subject ON audit_log (subject_kind, subject_id, id);
