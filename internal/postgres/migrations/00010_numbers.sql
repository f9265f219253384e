-- +goose NO TRANSACTION

-- +goose Up

-- Every message and every conversation has a whole number beside its UUID. Rows that exist
-- are numbered in batches while replicas go on inserting. Each step can be repeated, so an
-- interrupted migration continues when it is run again.
--
-- The numbers of messages grow with seq within a conversation. So the sequence starts behind
-- those of the rows that exist, which a second sequence numbers. It starts far behind: batches
-- that are rolled back lose their numbers.
--
-- read_at is that of adopted messages.
-- +goose StatementBegin
DO $$
DECLARE
	existing bigint;
BEGIN
	IF to_regclass('roomspa.message_numbers') IS NOT NULL THEN
		RETURN;
	END IF;
	SELECT count(*) INTO existing FROM roomspa.messages;
	LOCK TABLE roomspa.messages IN ACCESS EXCLUSIVE MODE; -- from here on it takes milliseconds
	IF existing = 0 THEN
		SELECT count(*) INTO existing FROM roomspa.messages; -- a few of right now
	END IF;
	EXECUTE format('CREATE SEQUENCE roomspa.message_numbers START %s', CASE existing WHEN 0 THEN 1 ELSE 2 * existing + 1000000 END);
	ALTER TABLE roomspa.messages
		ADD COLUMN number bigint,
		ADD COLUMN read_at timestamptz,
		ALTER COLUMN number SET DEFAULT nextval('roomspa.message_numbers');
END
$$;
-- +goose StatementEnd

-- +goose StatementBegin
DO $$
BEGIN
	IF to_regclass('roomspa.conversation_numbers') IS NOT NULL THEN
		RETURN;
	END IF;
	CREATE SEQUENCE roomspa.conversation_numbers;
	ALTER TABLE roomspa.conversations
		ADD COLUMN number bigint,
		ALTER COLUMN number SET DEFAULT nextval('roomspa.conversation_numbers');
END
$$;
-- +goose StatementEnd

CREATE SEQUENCE IF NOT EXISTS roomspa.numbers_of_old_messages;

-- The ids are UUIDv7: a range of ids is a range of time. A batch ends between two
-- milliseconds, because within one only seq has the order. (Imported ids are of any kind, and
-- so is the order of their numbers.) The limit of the inner query only tells the planner how
-- small a batch is. If roomspa is killed, the server ends the statement at the next notice.
-- +goose StatementBegin
DO $$
DECLARE
	behind   uuid := '00000000-0000-0000-0000-000000000000';
	upto     uuid;
	cut      uuid;
	numbered bigint;
	total    bigint := 0;
BEGIN
	WHILE behind IS NOT NULL LOOP
		SELECT id INTO upto FROM roomspa.messages WHERE id >= behind ORDER BY id OFFSET 5000 LIMIT 1;
		cut := (left(upto::text, 13) || '-0000-0000-000000000000')::uuid;
		IF cut > behind THEN
			upto := cut;
		END IF;
		UPDATE roomspa.messages m SET number = f.number
		FROM (
			SELECT conversation_id, seq, nextval('roomspa.numbers_of_old_messages') AS number
			FROM (
				SELECT conversation_id, seq
				FROM (
					SELECT * FROM roomspa.messages
					WHERE id >= behind AND id < coalesce(upto, 'ffffffff-ffff-ffff-ffff-ffffffffffff') AND number IS NULL
					ORDER BY id LIMIT 5000
				) batch
				ORDER BY created_at, conversation_id, seq
			) ordered
		) f
		WHERE m.conversation_id = f.conversation_id AND m.seq = f.seq AND m.number IS NULL;
		GET DIAGNOSTICS numbered = ROW_COUNT;
		COMMIT;
		total := total + numbered;
		RAISE NOTICE 'Numbered % messages', total;
		behind := upto;
	END LOOP;
END
$$;
-- +goose StatementEnd

-- In the order of the ids, like every statement that locks conversations, and a few at a time:
-- inserts of their messages wait.
-- +goose StatementBegin
DO $$
DECLARE
	behind uuid := '00000000-0000-0000-0000-000000000000';
	batch  uuid[];
BEGIN
	WHILE behind IS NOT NULL LOOP
		SELECT array_agg(id) INTO batch FROM (
			SELECT id FROM roomspa.conversations WHERE id > behind AND number IS NULL ORDER BY id LIMIT 200 FOR NO KEY UPDATE
		) locked;
		UPDATE roomspa.conversations SET number = nextval('roomspa.conversation_numbers') WHERE id = ANY(batch);
		COMMIT;
		behind := batch[200];
	END LOOP;
END
$$;
-- +goose StatementEnd

CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS conversations_number ON roomspa.conversations (number);
DROP SEQUENCE IF EXISTS roomspa.numbers_of_old_messages;

-- +goose Down
ALTER TABLE roomspa.messages DROP COLUMN IF EXISTS read_at, DROP COLUMN IF EXISTS number;
ALTER TABLE roomspa.conversations DROP COLUMN IF EXISTS number;
DROP SEQUENCE IF EXISTS roomspa.numbers_of_old_messages, roomspa.conversation_numbers, roomspa.message_numbers;
