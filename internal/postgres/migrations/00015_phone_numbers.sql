-- +goose NO TRANSACTION

-- +goose Up

-- One phone number is one user, however it is written. Users who have the same number already
-- keep it: a warning names them, and the index is built without UNIQUE.
-- +goose StatementBegin
DO $$
DECLARE
	same record;
BEGIN
	IF (SELECT relkind FROM pg_catalog.pg_class WHERE oid = 'roomspa.users'::regclass) NOT IN ('r', 'p') THEN
		RETURN; -- another application owns the users
	END IF;
	FOR same IN SELECT string_agg(id::text, ', ' ORDER BY id) AS ids FROM roomspa.users WHERE phone IS NOT NULL
		GROUP BY translate(phone, ' -./()[]', '') HAVING count(*) > 1
	LOOP
		RAISE WARNING 'Users % have the same phone number, written differently; correct them, then make the index roomspa.users_phone_number unique', same.ids;
	END LOOP;
END
$$;
-- +goose StatementEnd

CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS users_phone_number ON roomspa.users ((translate(phone, ' -./()[]', '')));

-- +goose Down
DROP INDEX CONCURRENTLY IF EXISTS roomspa.users_phone_number;
