-- Names that mark bots whose guid does not: patterns in which `*` stands for any text.
ALTER TABLE servers ADD COLUMN bot_names text[] NOT NULL DEFAULT '{}';

-- Every node takes them with the server's tokens, and has to hear of a change.
DROP TRIGGER servers_changed ON servers;
CREATE TRIGGER servers_changed AFTER UPDATE OF name, approved_at, removed_at, bot_names OR DELETE ON servers
    FOR EACH ROW EXECUTE FUNCTION notify_server_changed();
