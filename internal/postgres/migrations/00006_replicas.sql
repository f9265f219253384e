-- +goose Up

-- Signs of life of the replicas, by which they find out that they share this
-- database and do not hear each other, or do not take each other's tokens. What is
-- here is worth nothing after half a minute, so it is not logged: no write of it
-- waits for a standby, and a crash may empty it.
--
-- An older binary does not look here, and is not missed.
CREATE UNLOGGED TABLE roomspa.replicas (
	id      text PRIMARY KEY, -- of the process, made up at its start
	name    text NOT NULL,    -- as in the log
	hears   interval NOT NULL, -- for how long it has heard itself over the channel layer; 0 where it does not
	signs   text NOT NULL,    -- fingerprint of the key it signs tokens with
	accepts text[] NOT NULL,  -- and of all its own keys
	seen_at timestamptz NOT NULL
);

-- +goose Down
DROP TABLE roomspa.replicas;
