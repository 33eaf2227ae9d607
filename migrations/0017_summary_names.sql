-- A result names its match as the server does; while ClickHouse can't be asked, it is looked for here.
CREATE INDEX match_summaries_by_name ON match_summaries (server_id, source_match_id, started_at);
