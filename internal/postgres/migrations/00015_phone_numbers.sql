-- +goose Up

-- One phone number is one user, however it is written. Users who have the same number already
-- keep it: then the index is not unique, and a warning names them.
-- +goose StatementBegin
DO $$
DECLARE
	same record;
	kind text := 'UNIQUE';
BEGIN
	IF (SELECT relkind FROM pg_catalog.pg_class WHERE oid = 'roomspa.users'::regclass) NOT IN ('r', 'p') THEN
		RETURN; -- another application owns the users
	END IF;
	FOR same IN SELECT string_agg(id::text, ', ' ORDER BY id) AS ids FROM roomspa.users WHERE phone IS NOT NULL
		GROUP BY translate(phone, ' -./()[]', '') HAVING count(*) > 1
	LOOP
		kind := '';
		RAISE WARNING 'Users % have the same phone number, written differently; correct them, then make the index roomspa.users_phone_number unique', same.ids;
	END LOOP;
	EXECUTE 'CREATE ' || kind || $i$ INDEX IF NOT EXISTS users_phone_number ON roomspa.users ((translate(phone, ' -./()[]', '')))$i$;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP INDEX IF EXISTS roomspa.users_phone_number;
