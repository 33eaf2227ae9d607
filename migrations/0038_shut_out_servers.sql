-- Whom an operator has revoked is nobody's to take over by a key until an admin approves it again.
ALTER TABLE servers ADD COLUMN shut_out_at timestamptz;
