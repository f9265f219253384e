-- +goose Up

-- Heartbeats of the replicas. They show replicas that share this database but do not
-- hear each other over Redis, or refuse each other's tokens. A heartbeat expires after
-- half a minute, so the table is unlogged: no write waits for a standby, and a crash may
-- empty it. Older binaries write none.
CREATE UNLOGGED TABLE roomspa.replicas (
	id      text PRIMARY KEY, -- of the process, random
	name    text NOT NULL,    -- as in the log
	hears   interval NOT NULL, -- how long it has heard itself over the channel layer; 0 if it does not
	signs   text NOT NULL,    -- fingerprint of the key that signs tokens
	accepts text[] NOT NULL,  -- fingerprints of all its own keys
	seen_at timestamptz NOT NULL
);

-- +goose Down
DROP TABLE roomspa.replicas;
