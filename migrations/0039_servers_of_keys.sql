-- Which servers keys registered is asked whenever one registers without a good key.
CREATE INDEX server_keys_by_server ON server_keys (server_id) WHERE server_id IS NOT NULL;
