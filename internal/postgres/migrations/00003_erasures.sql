-- +goose Up

-- Erased users, so that an import does not restore them. The table holds the id and
-- nothing else of a user. It is separate because users may be a view.
CREATE TABLE roomspa.erasures (
	user_id     bigint PRIMARY KEY,
	began_at    timestamptz NOT NULL DEFAULT now(),
	finished_at timestamptz
);

-- An erased message keeps its row and number, and its text is empty. No message can be
-- sent with an empty text. Binaries that do not know this column show the empty text.
ALTER TABLE roomspa.messages ADD COLUMN erased_at timestamptz;

-- +goose Down
ALTER TABLE roomspa.messages DROP COLUMN erased_at;
DROP TABLE roomspa.erasures;
