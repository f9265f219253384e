-- +goose Up

-- Who was erased, and when: it keeps an import from bringing somebody back, and
-- holds nothing but the id. It is a table of its own, since users may be a view.
CREATE TABLE roomspa.erasures (
	user_id     bigint PRIMARY KEY,
	began_at    timestamptz NOT NULL DEFAULT now(),
	finished_at timestamptz
);

-- An erased message keeps its row and its number, and has the empty text, which no
-- message can be sent with: binaries that do not know this column show it as that.
ALTER TABLE roomspa.messages ADD COLUMN erased_at timestamptz;

-- +goose Down
ALTER TABLE roomspa.messages DROP COLUMN erased_at;
DROP TABLE roomspa.erasures;
