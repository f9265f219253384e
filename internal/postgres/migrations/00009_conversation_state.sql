-- +goose Up

-- NULL means text. Types are not checked here: replicas pass on those that they do not know.
-- json keeps the text of metadata as it was sent; nothing queries it.
ALTER TABLE roomspa.messages ADD COLUMN message_type text, ADD COLUMN metadata json;

-- How far each user has received and read a conversation. A user without a row has received
-- nothing. Both numbers only grow, and changed_at is when they last did, so that replicas
-- find changes that they missed.
CREATE TABLE roomspa.cursors (
	conversation_id uuid NOT NULL,
	user_id         bigint NOT NULL,
	delivered_seq   bigint NOT NULL,
	read_seq        bigint NOT NULL,
	changed_at      timestamptz NOT NULL,
	PRIMARY KEY (conversation_id, user_id),
	CONSTRAINT cursors_read_is_delivered CHECK (read_seq BETWEEN 0 AND delivered_seq)
);
CREATE INDEX cursors_changed_at ON roomspa.cursors (changed_at);

-- Who has blocked whom. Lifting a block keeps the row, so that replicas find the change.
CREATE TABLE roomspa.blocks (
	blocker_id bigint NOT NULL,
	blocked_id bigint NOT NULL,
	active     boolean NOT NULL,
	changed_at timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (blocker_id, blocked_id),
	CONSTRAINT blocks_of_others CHECK (blocker_id <> blocked_id)
);
CREATE INDEX blocks_changed_at ON roomspa.blocks (changed_at);

-- What users have reported. A report is open until an operator closes it.
CREATE TABLE roomspa.reports (
	id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	reporter_id     bigint NOT NULL,
	conversation_id uuid NOT NULL,
	seq             bigint, -- of the message; NULL if the whole conversation is meant
	reason          text NOT NULL,
	body            text NOT NULL DEFAULT '',
	created_at      timestamptz NOT NULL DEFAULT now(),
	closed_at       timestamptz,
	resolution      text NOT NULL DEFAULT '' -- what the operator decided
);
CREATE INDEX reports_open ON roomspa.reports (created_at) WHERE closed_at IS NULL;
CREATE INDEX reports_reporter ON roomspa.reports (reporter_id, created_at);

-- So that replicas find the users whose messages were erased meanwhile.
CREATE INDEX erasures_finished_at ON roomspa.erasures (finished_at);

-- +goose Down
DROP INDEX roomspa.erasures_finished_at;
DROP TABLE roomspa.reports;
DROP TABLE roomspa.blocks;
DROP TABLE roomspa.cursors;
ALTER TABLE roomspa.messages DROP COLUMN metadata, DROP COLUMN message_type;
