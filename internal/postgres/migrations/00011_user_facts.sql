-- +goose NO TRANSACTION

-- Each statement can be repeated, because an interrupted attempt leaves the ones before it.

-- +goose Up

-- What roomspa itself knows of users. It is separate because users may be a view over
-- another application's table, which roomspa only reads. Where users is a table, binaries of
-- before read and write users.tokens_valid_after, so that column is written too, and the
-- later of both times counts.
CREATE TABLE IF NOT EXISTS roomspa.user_facts (
	user_id            bigint PRIMARY KEY,
	tokens_valid_after timestamptz
);
INSERT INTO roomspa.user_facts (user_id, tokens_valid_after)
SELECT id, tokens_valid_after FROM roomspa.users WHERE tokens_valid_after IS NOT NULL
ON CONFLICT (user_id) DO NOTHING;

-- SECURITY DEFINER, because who may change facts need not know of the changes.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION roomspa.note_fact_change() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO roomspa.user_changes (user_id) VALUES (NEW.user_id) ON CONFLICT DO NOTHING;
	RETURN NULL;
END
$$;
-- +goose StatementEnd
DROP TRIGGER IF EXISTS note_change ON roomspa.user_facts;
CREATE TRIGGER note_change AFTER INSERT OR UPDATE ON roomspa.user_facts FOR EACH ROW
EXECUTE FUNCTION roomspa.note_fact_change();

-- A user may have only a phone number. A view has the columns that its owner gives it.
-- +goose StatementBegin
DO $$
BEGIN
	IF (SELECT relkind FROM pg_catalog.pg_class WHERE oid = 'roomspa.users'::regclass) IN ('r', 'p') THEN
		ALTER TABLE roomspa.users ADD COLUMN IF NOT EXISTS name text, ALTER COLUMN email DROP NOT NULL;
	END IF;
END
$$;
-- +goose StatementEnd

-- Support writes in rooms of others, so an erasure cannot find its messages by the rooms.
CREATE INDEX CONCURRENTLY IF NOT EXISTS messages_of_support ON roomspa.messages (sender_id, conversation_id) WHERE sender_role = 'support';

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS roomspa.messages_of_support;
-- +goose StatementBegin
DO $$
BEGIN
	IF (SELECT relkind FROM pg_catalog.pg_class WHERE oid = 'roomspa.users'::regclass) IN ('r', 'p') THEN
		UPDATE roomspa.users u SET tokens_valid_after = f.tokens_valid_after FROM roomspa.user_facts f
		WHERE f.user_id = u.id AND f.tokens_valid_after > coalesce(u.tokens_valid_after, '-infinity');
		-- The domain of the address cannot exist (RFC 2606 §2).
		UPDATE roomspa.users SET email = 'user-' || id || '@no-email.invalid' WHERE email IS NULL;
		ALTER TABLE roomspa.users DROP COLUMN IF EXISTS name, ALTER COLUMN email SET NOT NULL;
	END IF;
END
$$;
-- +goose StatementEnd
DROP TABLE IF EXISTS roomspa.user_facts;
DROP FUNCTION IF EXISTS roomspa.note_fact_change();
