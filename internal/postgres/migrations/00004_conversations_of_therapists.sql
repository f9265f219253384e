-- +goose NO TRANSACTION

-- +goose Up

-- CONCURRENTLY does not block the writes of running replicas. An interrupted attempt
-- leaves an invalid index, which is dropped before the next one: see migrationconn.go.
CREATE INDEX CONCURRENTLY IF NOT EXISTS conversations_therapist ON roomspa.conversations (therapist_id);

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS roomspa.conversations_therapist;
