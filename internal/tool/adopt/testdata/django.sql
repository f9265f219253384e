-- Rows of a small database of the predecessor, for tests. They are made up.

-- Customers 1, 3, 5; therapists 2, 4; 13 is an admin; 14 has only the role of one; 15 is a therapist and is_staff.
INSERT INTO "User_userprofile" (id, name, email, phone_number, role, is_active, is_staff, is_superuser, password, gender, consent, verification_status, date_created)
SELECT id, name, email, phone, role, active, staff, super, password, 'other', true, true, timestamptz '2025-01-01 08:00+00' + id * interval '1 day'
FROM (VALUES
	(1, 'Cleo', 'Cleo@example.com', '+431', 'customer', true, false, false, 'pbkdf2_sha256$870000$salt$hash'),
	(2, 'Theo', 'theo@example.com', NULL, 'therapist', true, false, false, 'pbkdf2_sha256$260000$salt$hash'),
	(3, 'Cara', '', '+433', 'customer', true, false, false, 'pbkdf2_sha256$870000$salt$hash'),
	(4, 'Tara', 'tara@example.com', NULL, 'therapist', false, false, false, '!none'),
	(5, 'Carl', NULL, '+435', 'customer', true, false, false, 'pbkdf2_sha256$870000$salt$hash'),
	(13, 'Ada', 'ada@example.com', NULL, 'admin', true, true, true, 'argon2$argon2id$v=19$m=1,t=1,p=1$c2FsdA$aGFzaA'),
	(14, 'Nora', 'nora@example.com', NULL, 'admin', true, false, false, 'pbkdf2_sha256$870000$salt$hash'),
	(15, 'Sam', 'sam@example.com', NULL, 'therapist', true, true, false, 'pbkdf2_sha256$870000$salt$hash')
) u (id, name, email, phone, role, active, staff, super, password);

-- 1 and 2: the same pair, 2 was used last. 3: nobody has written. 4: two customers. 5: one participant. 6: three people.
INSERT INTO chat_conversation (id, updated_at, created_at, is_active) VALUES
	(1, '2026-01-02 10:00+00', '2026-01-01 09:00+00', true), (2, '2026-01-05 10:00+00', NULL, true), (3, '2026-01-03 10:00+00', '2026-01-03 10:00+00', true),
	(4, '2026-01-04 10:00+00', '2026-01-04 10:00+00', true), (5, '2026-01-04 11:00+00', NULL, true), (6, '2026-01-06 10:00+00', '2026-01-06 09:00+00', true);
INSERT INTO chat_conversation_participants (conversation_id, userprofile_id) VALUES
	(1, 1), (1, 2), (2, 1), (2, 2), (3, 3), (3, 4), (4, 1), (4, 3), (5, 5), (6, 1), (6, 4), (6, 5);

-- Room 1/2 is in the conversations 1 and 2, with an admin's message and two messages of one moment. Messages 8 and 9 fit no room.
-- Rooms 1/4 and 5/4 share the conversation 6.
INSERT INTO chat_message (id, conversation_id, sender_id, receiver_id, content, created_at, is_read, read_at, message_type, metadata) VALUES
	(1, 1, 1, 2, 'first', '2026-01-01 09:00:00.000001+00', true, '2026-01-01 09:30+00', 'text', NULL),
	(2, 1, 2, 1, 'second', '2026-01-02 10:00:00.000002+00', true, '2026-01-02 10:30+00', 'text', NULL),
	(3, 2, 1, 2, 'fourth', '2026-01-05 09:00:00.000003+00', false, NULL, 'image', '{"b": 1, "a": [2]}'),
	(4, 2, 1, 2, 'third', '2026-01-05 08:00:00.000004+00', true, '2026-01-05 08:30+00', 'text', NULL),
	(5, 2, 13, 1, 'of the admin', '2026-01-05 09:30+00', false, NULL, 'text', NULL),
	(6, 2, 2, 1, 'same moment ✓', '2026-01-05 10:00+00', false, NULL, 'text', NULL),
	(7, 2, 2, 1, 'same moment, next', '2026-01-05 10:00+00', false, NULL, 'system', 'null'),
	(8, 4, 13, 1, 'no therapist', '2026-01-04 10:00+00', false, NULL, 'text', NULL),
	(9, 4, 1, 3, 'customer to customer', '2026-01-04 10:01+00', false, NULL, 'text', NULL),
	(10, 6, 1, 4, 'of three', '2026-01-06 09:00+00', false, NULL, 'text', NULL),
	(11, 6, 5, 4, 'of three too', '2026-01-06 10:00+00', true, '2026-01-06 11:00+00', 'text', NULL);
UPDATE chat_conversation c SET last_message_id = (SELECT max(id) FROM chat_message m WHERE m.conversation_id = c.id);

INSERT INTO token_blacklist_outstandingtoken (id, token, created_at, expires_at, user_id, jti) VALUES
	(1, 'a', '2026-01-01+00', '2100-01-01+00', 1, 'signed-out'), (2, 'b', '2026-01-01+00', '2100-01-01+00', 1, 'good'),
	(3, 'c', '2020-01-01+00', '2020-02-01+00', 1, 'expired'), (4, 'd', '2026-01-01+00', '2100-01-01+00', NULL, 'of nobody');
INSERT INTO token_blacklist_blacklistedtoken (blacklisted_at, token_id) VALUES ('2026-01-02+00', 1), ('2020-01-02+00', 3), ('2026-01-02+00', 4);

SELECT setval(pg_get_serial_sequence('"User_userprofile"', 'id'), 20), setval(pg_get_serial_sequence('chat_conversation', 'id'), 6),
	setval(pg_get_serial_sequence('chat_conversation_participants', 'id'), 20), setval(pg_get_serial_sequence('chat_message', 'id'), 11),
	setval(pg_get_serial_sequence('token_blacklist_outstandingtoken', 'id'), 4), setval(pg_get_serial_sequence('token_blacklist_blacklistedtoken', 'id'), 4);
