-- +goose Up

CREATE TABLE roomspa.conversations (
	id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
	customer_id  bigint NOT NULL,
	therapist_id bigint NOT NULL,
	created_at   timestamptz NOT NULL DEFAULT now(),
	CONSTRAINT conversations_room UNIQUE (customer_id, therapist_id)
);

-- seq has no gaps: it is assigned under the lock of the conversation's row, which is
-- held until the commit. The insert joins that row, so a foreign key would only read
-- it again.
--
-- id is a UUIDv7 (RFC 9562) by this server's clock, so a range of ids is a range of time.
CREATE TABLE roomspa.messages (
	conversation_id   uuid NOT NULL,
	seq               bigint NOT NULL CONSTRAINT messages_seq CHECK (seq >= 1),
	id                uuid NOT NULL,
	sender_id         bigint NOT NULL,
	sender_role       text NOT NULL CONSTRAINT messages_sender_role CHECK (sender_role IN ('customer', 'therapist', 'support')),
	client_message_id text,
	body              text NOT NULL,
	created_at        timestamptz NOT NULL,
	PRIMARY KEY (conversation_id, seq),
	CONSTRAINT messages_id UNIQUE (id)
);
CREATE UNIQUE INDEX messages_client_message_id
	ON roomspa.messages (conversation_id, sender_id, client_message_id)
	WHERE client_message_id IS NOT NULL;

-- +goose Down
DROP TABLE roomspa.messages;
DROP TABLE roomspa.conversations;
