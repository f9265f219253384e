-- +goose Up

-- Users who were changed, by whatever program. Replicas poll the table and check the
-- sockets of these users. Rows live for a minute, so the table is unlogged: after a crash
-- it is empty, and the periodic check of everybody finds the users.
CREATE UNLOGGED TABLE roomspa.user_changes (
	xact    xid8 NOT NULL DEFAULT pg_current_xact_id(),
	user_id bigint NOT NULL,
	PRIMARY KEY (xact, user_id)
);

-- SECURITY DEFINER, because who may change a user need not know of this table.
-- +goose StatementBegin
CREATE FUNCTION roomspa.note_user_change() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO roomspa.user_changes (user_id) VALUES (OLD.id) ON CONFLICT DO NOTHING;
	RETURN NULL;
END
$$;
-- +goose StatementEnd

-- Where the users are a view over another application's table, there is nothing to watch.
-- +goose StatementBegin
DO $$
BEGIN
	IF (SELECT relkind FROM pg_catalog.pg_class WHERE oid = 'roomspa.users'::regclass) NOT IN ('r', 'p') THEN
		RETURN;
	END IF;
	CREATE TRIGGER note_update AFTER UPDATE ON roomspa.users FOR EACH ROW
	WHEN ((OLD.id, OLD.role, OLD.is_active, OLD.tokens_valid_after) IS DISTINCT FROM (NEW.id, NEW.role, NEW.is_active, NEW.tokens_valid_after))
	EXECUTE FUNCTION roomspa.note_user_change();
	CREATE TRIGGER note_delete AFTER DELETE ON roomspa.users FOR EACH ROW
	EXECUTE FUNCTION roomspa.note_user_change();
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION roomspa.note_user_change() CASCADE; -- and the triggers
DROP TABLE roomspa.user_changes;
