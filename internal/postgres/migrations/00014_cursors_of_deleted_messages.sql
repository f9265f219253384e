-- +goose Up

-- Cursors refer to numbers of messages. If somebody deletes the last messages of a conversation
-- by SQL, their numbers are used again, and a cursor beyond the last message that is left would
-- count new messages as read. roomspa itself never deletes the last message. changed_at is
-- set so that replicas find the change.
-- +goose StatementBegin
CREATE FUNCTION roomspa.lower_cursors() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	UPDATE roomspa.cursors c
	SET delivered_seq = least(c.delivered_seq, l.seq), read_seq = least(c.read_seq, l.seq), changed_at = clock_timestamp()
	FROM (
		SELECT d.conversation_id, coalesce((
			SELECT m.seq FROM roomspa.messages m WHERE m.conversation_id = d.conversation_id ORDER BY m.seq DESC LIMIT 1
		), 0) AS seq
		FROM (SELECT DISTINCT conversation_id FROM deleted) d
	) l
	WHERE c.conversation_id = l.conversation_id AND c.delivered_seq > l.seq;
	RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER lower_cursors AFTER DELETE ON roomspa.messages REFERENCING OLD TABLE AS deleted
FOR EACH STATEMENT EXECUTE FUNCTION roomspa.lower_cursors();

-- +goose StatementBegin
CREATE FUNCTION roomspa.forget_cursors() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	DELETE FROM roomspa.cursors;
	RETURN NULL;
END
$$;
-- +goose StatementEnd
CREATE TRIGGER forget_cursors AFTER TRUNCATE ON roomspa.messages
FOR EACH STATEMENT EXECUTE FUNCTION roomspa.forget_cursors();

-- +goose Down
DROP FUNCTION roomspa.lower_cursors() CASCADE; -- and the triggers
DROP FUNCTION roomspa.forget_cursors() CASCADE;
