-- +goose Up

-- origin identifies the database itself: the cluster and the database in it. A dump that
-- is restored elsewhere, or a template, makes a database of another origin. It is NULL
-- where the user may not read the identifier of the cluster.
-- +goose StatementBegin
CREATE FUNCTION roomspa.origin() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT c.system_identifier FROM pg_catalog.pg_control_system() c) || ' ' ||
		(SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database());
EXCEPTION WHEN insufficient_privilege OR undefined_function OR feature_not_supported THEN
	RETURN NULL;
END
$$;
-- +goose StatementEnd

-- The identity of all replicas that share this database. Every heartbeat of a replica
-- locks this row first, so they change it one after the other.
CREATE TABLE roomspa.deployment (
	only_row   boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	id         text NOT NULL CONSTRAINT deployment_id CHECK (id ~ '^[0-9a-f]{16}$'), -- of this database and no copy of it
	timeline   bigint NOT NULL, -- rises when the database has gone back in time
	heartbeats bigint NOT NULL, -- rises with each heartbeat
	origin     text             -- as of roomspa.origin() when the id was made; NULL if it could not be read
);
INSERT INTO roomspa.deployment (id, timeline, heartbeats, origin)
VALUES (left(encode(sha256(uuid_send(gen_random_uuid())), 'hex'), 16), 1, 0, roomspa.origin());

-- The keys that seal what replicas send each other, and keep for each other, in Redis.
-- There is one, or two during a rotation. The newest one whose time has come seals.
CREATE TABLE roomspa.master_keys (
	id          bytea PRIMARY KEY CONSTRAINT master_keys_id CHECK (octet_length(id) = 4),
	secret      bytea NOT NULL CONSTRAINT master_keys_secret CHECK (octet_length(secret) = 32),
	created_at  timestamptz NOT NULL DEFAULT now(),
	seals_at    timestamptz NOT NULL,
	opens_until timestamptz -- NULL: for ever; the row is deleted after it
);
-- Each UUID has 122 random bits, so four of them have more than the 256 that are needed.
INSERT INTO roomspa.master_keys (id, secret, seals_at)
VALUES (
	substring(sha256(uuid_send(gen_random_uuid())) FROM 1 FOR 4),
	sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
	now()
);

-- The replica's clock minus the database's, at the heartbeat. Older binaries write none.
ALTER TABLE roomspa.replicas ADD COLUMN clock_offset interval NOT NULL DEFAULT '0';

-- +goose Down
ALTER TABLE roomspa.replicas DROP COLUMN clock_offset;
DROP TABLE roomspa.master_keys;
DROP TABLE roomspa.deployment;
DROP FUNCTION roomspa.origin();
