-- +goose Up

-- What replicas that share this database must agree on. Older binaries write none of it, and
-- nothing is concluded from that.
ALTER TABLE roomspa.replicas
	ADD COLUMN IF NOT EXISTS version text NOT NULL DEFAULT '',     -- of the binary
	ADD COLUMN IF NOT EXISTS up interval NOT NULL DEFAULT '0',     -- how long the replica has been running
	ADD COLUMN IF NOT EXISTS settings jsonb NOT NULL DEFAULT '{}'; -- options by name, without secrets

-- +goose Down
ALTER TABLE roomspa.replicas DROP COLUMN version, DROP COLUMN up, DROP COLUMN settings;
