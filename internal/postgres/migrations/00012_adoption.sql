-- +goose Up

-- The state of roomspa adopt django. There is no row before its first run.
CREATE TABLE roomspa.adoption (
	only_row         boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	source           text NOT NULL, -- the schema of Django's tables
	runner           text NOT NULL, -- the run that may write; a later run takes over
	applied_at       timestamptz,   -- end of the last complete --apply
	returned_at      timestamptz,   -- end of the last complete --return
	returned_through bigint NOT NULL DEFAULT 0 -- messages up to this number are in Django's tables
);

-- json_or_null reads JSON from a text column that may hold anything.
-- +goose StatementBegin
CREATE FUNCTION roomspa.json_or_null(t text) RETURNS json LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	RETURN CASE WHEN t::jsonb <> 'null' THEN t::json END;
EXCEPTION WHEN data_exception THEN
	RETURN NULL;
END
$$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION roomspa.json_or_null(text);
DROP TABLE IF EXISTS roomspa.adoption_queue, roomspa.adoption_rooms, roomspa.adoption_changes, roomspa.adoption_marks; -- of a run that was killed
DROP TABLE roomspa.adoption;
