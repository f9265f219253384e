-- +goose NO TRANSACTION

-- +goose Up

-- Built beside the writes of running replicas. An attempt that was interrupted
-- leaves an index that is not valid, so it begins by dropping that.
DROP INDEX CONCURRENTLY IF EXISTS roomspa.conversations_therapist;
CREATE INDEX CONCURRENTLY conversations_therapist ON roomspa.conversations (therapist_id);

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS roomspa.conversations_therapist;
