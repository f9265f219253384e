package cause

const (
	badToken = "[JWTAuthMiddleware] Invalid token: "
	rejected = "[ChatConsumer] Connection rejected - "
	ended    = "[…Consumer] WebSocket disconnected reason="
	refused  = "roomspa_handshakes_total"
	closed   = "roomspa_closes_total"
)

var closes = Chapter{
	Title: "Close reasons",
	About: "The reason of a Close frame is one of these words and `ref=<ref>`. `roomspa explain <ref>` tells its story.",
	Rows: []Entry{
		{"bye", "The client closed, and the server answered.", "1000.", ended + "bye", closed, "Nothing: it is over."},
		{"client", "The client closed with a code of its own.", "Its own code.", ended + "client", closed, "Look in the client why it closed."},
		{"abnormal", "The connection ended without a Close frame: it was lost, or cut in between.", "1006.", ended + "abnormal", closed + `{code="1006"}`, "Single ones are mobile networks. Many at one age: a proxy cuts, see idle_timeout."},
		{"protocol_error", "The client broke RFC 6455.", "1002.", ended + "protocol_error", closed, "Mend the client, or look for a proxy that changes frames."},
		{"text_only", "A binary frame on a JSON endpoint.", "1003.", ended + "text_only", closed, "Send text frames. Only /ws/test/ takes binary ones."},
		{"invalid_utf8", "Text that is not UTF-8.", "1007.", ended + "invalid_utf8", closed, "Mend the client: text frames are UTF-8."},
		{"rate_limited", "The client sends more frames a second than it may.", "An error frame; 1008 if it goes on.", ended + "rate_limited", closed, "Look for a loop in the client; --message-rate and --message-burst, if the limit is wrong."},
		{"too_large", "A message larger than the limit.", "1009.", ended + "too_large", closed, "Send less in one message, or raise --max-message-bytes."},
		{"database_unavailable", "Postgres cannot be used: refused, a time-out, read-only, or its schema.", "1011, or an error frame for one message that was not stored.", "Database error in …: <cause>", "roomspa_database_errors_total", "Look at /readyz or run roomspa check: it names the cause (postgres_…, schema_…), and those are below."},
		{"channel_layer_unavailable", "Redis did not confirm the subscription in time, or did not take a position or a ticket.", "1011, or an error frame for one position.", "Failed to add to channel group: <cause>; [ChannelLayer] Connection lost: <cause>", "roomspa_redis_up 0, roomspa_redis_failed_joins_total", "Look at /readyz or run roomspa check: it names the cause (redis_…), and those are below. It heals by itself when Redis is back."},
		{"internal", "A fault of the server's own.", "1011, or an error frame.", "grep the ref: the cause and the stack are there (ERROR)", refused + `{outcome="error"}`, "Report it with the log lines of the ref."},
		{"restart", "The replica restarts.", "A reconnect frame, then 1012.", ended + "restart", closed, "Nothing: the client reconnects after after_ms, and resumes. Outside of updates: look why replicas restart."},
		{"rebalance", "The replica holds far more sockets than the others and sheds some.", "A reconnect frame, then 1012.", ended + "rebalance", closed, "Nothing: the client reconnects after after_ms, and resumes."},
		{"busy", "The replica is full: over --soft-limit, or handshakes waited longer than 2 s. Or its memory is nearly used up (the detail says so).", "A reconnect frame, then 1013.", rejected + "busy", refused + `{reason="busy"}`, "Add replicas; look whether Postgres or Redis is slow; --soft-limit and --max-handshakes, if the limits are wrong. For its memory: raise the container's limit (resources.limits.memory), or --memory-limit."},
		{"slow_consumer", "The client reads too slowly and fell behind.", "1013.", ended + "slow_consumer", closed + ", roomspa_drops_total", "Nothing on the server: the client resumes. Many: look at the clients' network, and at proxies that buffer."},
		{"pong_timeout", "The client did not answer a ping in time.", "1013, or 1006 where its network is gone.", ended + "pong_timeout", closed, "Single ones: nothing, its network is gone. Many at once: something on the way died or drops pings."},
		{"missing_customer_id", "The path has no customer id.", "4000.", rejected + "missing customer id", refused, "Mend the URL: /ws/chat/{customer_id}/{therapist_id}/."},
		{"missing_therapist_id", "The path has no therapist id.", "4000.", rejected + "missing therapist id", refused, "Mend the URL: /ws/chat/{customer_id}/{therapist_id}/."},
		{"bad_id", "An id in the path is not a positive whole number.", "4000.", rejected + "bad id", refused, "Mend the URL: ids are 1 to 9007199254740991, without sign or leading zero. undefined and null are a bug of the app's."},
		{"bad_since", "since is not a whole number of 0 or more.", "4000.", rejected + "bad since", refused, "Send the highest seq that the client has, or leave since out."},
		{"bad_close_code", "/ws/test/?close= takes 1000-1003, 1007-1014 and 3000-4999.", "4000.", "[TestConsumer] Connection rejected - bad close code", refused, "Ask for another code."},
		{"bad_ping", "/ws/test/?ping= takes off, and nothing else.", "4000.", "[TestConsumer] Connection rejected - bad ping", refused, "Say ping=off, or leave ping out."},
		{"closed_as_asked", "The client asked /ws/test/ for this close.", "The code asked for.", ended + "closed_as_asked", closed, "Nothing."},
		{"token_missing", "No token came with the handshake.", "4001.", "[JWTAuthMiddleware] No token provided", refused, "Send the subprotocol pair [\"bearer\", token], a header Authorization: Bearer, or ?token=. If the client does: a proxy drops it."},
		{"token_invalid", "The token cannot be accepted; the detail names the sub-cause.", "4001.", badToken + "<sub-cause>", refused, "See the sub-cause under Tokens; roomspa token inspect says what is wrong with a token."},
		{"token_expired", "The token's time is over.", "4001.", badToken + "token_expired", refused, "The client gets a new token (POST /token/refresh/) before it connects, and answers token_expiring with an auth frame. Again and again for one user: it does not refresh. At once with a new token: see clock_skew."},
		{"token_revoked", "The user signed out everywhere after the token was issued.", "4001.", badToken + "token_revoked", refused, "The user signs in again."},
		{"user_unknown", "There is no user of the token's id.", "4001.", "[JWTAuthMiddleware] User not found", refused, "roomspa user show <id>: was the user deleted, or is the token one of another system's with the same secret?"},
		{"user_inactive", "The user was deactivated.", "4001.", "[JWTAuthMiddleware] User inactive", refused, "If that is wrong: roomspa user activate <id>."},
		{"not_your_room", "The room belongs to somebody else.", "4003.", "Authorization failed - … tried to access …", refused, "The app opens a room with a wrong id: the user's own id stands on the side of its role."},
		{"wrong_role", "The user's role is not that of that side of the room, or may not send.", "4003, or an error frame where support sends.", "Authorization failed - … tried to connect as …", refused, "The role in the database decides: roomspa user show <id>. The path has the customer's id first."},
		{"no_such_customer", "There is no customer of that id.", "4003.", "Authorization failed - … who does not exist", refused, "roomspa user show <id>: it does not exist, or has another role. Are the ids swapped?"},
		{"no_such_therapist", "There is no therapist of that id.", "4003.", "Authorization failed - … who does not exist", refused, "roomspa user show <id>: it does not exist, or has another role. Are the ids swapped?"},
	},
}

var tokens = Chapter{
	Title: "Tokens",
	About: "The sub-causes of `token_invalid`: in the `detail` of the error frame, in the log line and in the story.",
	Rows: []Entry{
		{"bad_signature", "It was signed with another secret, or was changed.", "4001 token_invalid.", badToken + "bad_signature", refused, "Give --jwt-secret the issuer's secret as well, comma-separated; after a rotation both. The same on every replica: else see different_secrets."},
		{"wrong_algorithm", "Its algorithm is not the one of its key.", "4001 token_invalid.", badToken + "wrong_algorithm", refused, "Let the issuer sign with HS256 and a secret of --jwt-secret, or with a key of --jwks."},
		{"unknown_key", "It names a key (kid) that is not known here.", "4001 token_invalid.", badToken + "unknown_key", refused, "Add the key under that name to --jwt-secret (kid=secret) or to the key set of --jwks."},
		{"malformed", "It is no JWT.", "4001 token_invalid.", badToken + "malformed", refused, "Look what the client really sends: undefined, a quoted token, one that was cut off, a session id."},
		{"wrong_type", "It is a refresh token, or has no token_type access.", "4001 token_invalid.", badToken + "wrong_type", refused, "Send the access token."},
		{"missing_exp", "It has no exp and would never end.", "4001 token_invalid.", badToken + "missing_exp", refused, "Let the issuer set exp."},
		{"bad_exp", "Its exp is no number of seconds.", "4001 token_invalid.", badToken + "bad_exp", refused, "Let the issuer write Unix seconds (RFC 7519 §2)."},
		{"bad_iat", "Its iat is no number of seconds.", "4001 token_invalid.", badToken + "bad_iat", refused, "Let the issuer write Unix seconds (RFC 7519 §2)."},
		{"bad_nbf", "Its nbf is no number of seconds.", "4001 token_invalid.", badToken + "bad_nbf", refused, "Let the issuer write Unix seconds (RFC 7519 §2)."},
		{"bad_jti", "Its jti is no string of 1 to 64 characters.", "4001 token_invalid.", badToken + "bad_jti", refused, "Let the issuer write a string."},
		{"not_yet_valid", "Its nbf or iat is ahead of the server's clock.", "4001 token_invalid.", badToken + "not_yet_valid", refused, "Clocks differ by more than 5 s: run NTP on the issuer and on the replicas."},
		{"missing_user_id", "It has no user_id.", "4001 token_invalid.", badToken + "missing_user_id", refused, "Let the issuer set user_id, as Django SimpleJWT does."},
		{"bad_user_id", "Its user_id is no whole number from 1 to 2^53-1.", "4001 token_invalid.", badToken + "bad_user_id", refused, "Let the issuer write the number of the user in roomspa.users."},
		{"wrong_issuer", "Its iss is not the one that is accepted.", "4001 token_invalid.", badToken + "wrong_issuer", refused, "Compare the token's iss with --jwks-issuer."},
		{"wrong_audience", "Its aud does not name this service.", "4001 token_invalid.", badToken + "wrong_audience", refused, "Compare the token's aud with --jwks-audience."},
		{"bad_ticket", "The ticket is not known: it is good once and for 30 s.", "4001 token_invalid.", badToken + "bad_ticket", `roomspa_tickets_total{outcome="unknown"}`, "Get a new ticket for every attempt to connect (POST /api/ticket/)."},
		{"two_tokens", "Two different tokens came with one request.", "4001 token_invalid.", badToken + "two_tokens", refused, "Send one: leave ?token= out where the subprotocol or the header has it."},
		{"too_long", "A token, a message or a client_message_id is longer than it may be.", "4001 token_invalid, or an error frame.", badToken + "too_long; Frame refused: too_long", "roomspa_messages_total{outcome=\"refused\"}", "Tokens: 8,192 bytes at most; check which claims the issuer adds. Messages: --max-message-length."},
	},
}

const (
	jwksSees   = "Nothing, as long as the keys that are known sign its tokens; 4001 token_invalid unknown_key for a newer one."
	jwksLine   = "[JWKS] Keys not renewed: "
	jwksMetric = `roomspa_jwks_refreshes_total{outcome="failed"}`
)

var keySets = Chapter{
	Title: "Key sets",
	About: "Why the keys of `--jwks` are not renewed: `cause` in the log line and in `roomspa check --json`. The keys that were seen last stay good.",
	Rows: []Entry{
		{"jwks_unreachable", "The address of --jwks does not answer.", jwksSees, jwksLine + "ask for the key set: …", jwksMetric, "Look at the URL of --jwks, its certificate, and whether egress and the resolver let a replica get there."},
		{"jwks_refused", "The address of --jwks answers with another status than 200.", jwksSees, jwksLine + "ask for the key set: the answer is …", jwksMetric, "Look at the URL of --jwks and at the issuer's log."},
		{"jwks_unreadable", "The file of --jwks cannot be read.", jwksSees, jwksLine + "read the key set: …", jwksMetric, "Look at the path of --jwks, its mount and its permissions."},
		{"jwks_invalid", "What --jwks gives is no JWK Set with keys that can be used.", jwksSees, jwksLine + "it …", jwksMetric, "Let --jwks point at a JWK Set (RFC 7517 §5) with keys for RS256, ES256 or EdDSA."},
		{"jwks_key_left_out", "A key of the set of --jwks cannot be used; the others are.", "4001 token_invalid unknown_key for tokens of that key.", "[JWKS] Key left out: <why>", "", "The line says what is wrong with the key: let the issuer mend it. Keys for other uses or algorithms are left out rightly."},
	},
}

const frameRefused = "[…Consumer] Frame refused: "

var frames = Chapter{
	Title: "Error frames",
	About: "One frame was refused and the socket stays open. Words that are close reasons too stand above.",
	Rows: []Entry{
		{"bad_json", "The frame is not one JSON object.", "An error frame.", frameRefused + "bad_json", "", "Mend the client."},
		{"bad_frame", "A field of the frame has the wrong type or form.", "An error frame with the field.", frameRefused + "bad_frame", "", "Mend the client: the field is named, docs/asyncapi.yaml has its type."},
		{"bad_text", "A text holds a NUL character or half of a surrogate pair.", "An error frame with the field.", frameRefused + "bad_text", "", "Mend the client: it cut a text in the middle of a character."},
		{"unknown_type", "There is no frame of that type.", "An error frame.", frameRefused + "unknown_type", "", "Mend the client, or update the server that does not know the type yet."},
		{"empty_message", "The message has no text; nothing was stored.", "An error frame.", "[ChatConsumer] Empty message ignored", "", "Let the app not send it."},
		{"out_of_range", "A number is outside of its range.", "An error frame with the field.", frameRefused + "out_of_range", "", "Mend the client: the detail says the range."},
	},
}
