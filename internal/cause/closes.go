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
	About: "The reason of a Close frame is one of these words, followed by `ref=<ref>`. `roomspa explain <ref>` shows the story of the connection.",
	Rows: []Entry{
		{"bye", "The client closed the connection.", "1000.", ended + "bye", closed, "Nothing."},
		{"client", "The client closed the connection with a code of its own.", "Its own code.", ended + "client", closed, "Check in the client why it closed the connection."},
		{"abnormal", "The connection was lost without a Close frame.", "1006.", ended + "abnormal", closed + `{code="1006"}`, "A few: mobile networks. Many after the same silent time: see idle_timeout. Many at the same age: see lifetime_limit."},
		{"protocol_error", "The client violated RFC 6455.", "1002.", ended + "protocol_error", closed, "Fix the client. Check for a proxy that changes frames."},
		{"text_only", "The client sent a binary frame to a JSON endpoint.", "1003.", ended + "text_only", closed, "Send text frames. Only /ws/test/ accepts binary frames."},
		{"invalid_utf8", "The client sent text that is not UTF-8.", "1007.", ended + "invalid_utf8", closed, "Fix the client: text frames must be UTF-8."},
		{"rate_limited", "The client sent too many control frames or fragments, or too many messages to /ws/test/.", "1008; on /ws/test/ error frames before.", ended + "rate_limited", closed, "Check the client for a loop. Messages on other endpoints are never refused: above --message-rate they wait."},
		{"message_timeout", "A message was not complete 10 s after its first byte.", "1008.", ended + "message_timeout", closed, "A few: very slow networks. Many from one address: an attack."},
		{"too_large", "The message exceeds the size limit.", "1009.", ended + "too_large", closed, "Send smaller messages, or raise --max-message-bytes."},
		{"database_unavailable", "Postgres is unavailable: connection refused, timeout, read-only or wrong schema version.", "1011, or an error frame for a message that was not stored.", "Database error in …: <cause>", "roomspa_database_errors_total", "Query /readyz or run roomspa check for the cause (postgres_…, schema_…), and look it up below."},
		{"channel_layer_unavailable", "Redis did not confirm the subscription in time, or did not accept a position or a ticket.", "1011, or an error frame for a position.", "Failed to add to channel group: <cause>; [ChannelLayer] Connection lost: <cause>", "roomspa_redis_up 0, roomspa_redis_failed_joins_total", "Query /readyz or run roomspa check for the cause (redis_…), and look it up below. Replicas recover without a restart when Redis is back."},
		{"internal", "Server error.", "1011, or an error frame.", "ERROR lines with the ref: they have the cause and the stack", refused + `{outcome="error"}`, "Report it with the log lines of the ref."},
		{"restart", "The replica is shutting down.", "A reconnect frame, then 1012.", ended + "restart", closed, "Nothing: the client reconnects after after_ms and resumes. Outside of updates, check why replicas restart."},
		{"rebalance", "The replica has more connections than other replicas and sheds some.", "A reconnect frame, then 1012.", ended + "rebalance", closed, "Nothing: the client reconnects after after_ms and resumes."},
		{"max_age", "The connection has reached its maximum age: 10 minutes on /ws/test/.", "A reconnect frame, then 1012.", ended + "max_age", closed, "Nothing: the client reconnects after after_ms."},
		{"closed_by_operator", "An operator closed the connection with roomspa ctl close.", "A reconnect frame, then 1012.", "[Audit] Operator closes sockets; " + ended + "closed_by_operator", closed, "Nothing: the client reconnects after after_ms and resumes. The audit line says who closed it."},
		{"busy", "The replica is above --soft-limit or low on memory, or /ws/test/ has taken its tenth of --soft-limit, or handshakes waited longer than 2 s; the detail says which.", "A reconnect frame, then 1013.", rejected + "busy", refused + `{reason="busy"}`, "Add replicas. Check whether Postgres or Redis is slow. If the limits are too low, raise --soft-limit and --max-handshakes, and for memory the container's limit (resources.limits.memory) or --memory-limit."},
		{"slow_consumer", "The client reads too slowly and fell behind.", "1013.", ended + "slow_consumer", closed + ", roomspa_drops_total", "Nothing on the server: the client resumes. If there are many, check the clients' network and proxies that buffer."},
		{"over_budget", "The replica is short of memory for what the client leaves unread or unfinished.", "1013.", ended + "over_budget", closed + ", roomspa_budget_held_bytes", "A few: clients that stopped reading while many others did. Many: look for an attack in the log by remote address, or raise the memory limit; the budget is a quarter of it."},
		{"pong_timeout", "The client did not answer a ping in time.", "1013, or 1006 if its network is down.", ended + "pong_timeout", closed, "A few: nothing, the clients lost their network. Many at once: check for a proxy that failed or drops pings."},
		{"missing_customer_id", "The path has no customer id.", "4000.", rejected + "missing customer id", refused, "Correct the URL: /ws/chat/{customer_id}/{therapist_id}/."},
		{"missing_therapist_id", "The path has no therapist id.", "4000.", rejected + "missing therapist id", refused, "Correct the URL: /ws/chat/{customer_id}/{therapist_id}/."},
		{"bad_id", "An id in the path is not a positive integer.", "4000.", rejected + "bad id", refused, "Correct the URL: ids are integers from 1 to 9007199254740991 without sign or leading zero. The texts undefined and null are a bug in the app."},
		{"bad_since", "The parameter since is not an integer of 0 or more, or id is not a UUID.", "4000.", rejected + "bad since", refused, "Send the highest seq that the client has received and the id of that message, or omit both."},
		{"bad_close_code", "The parameter close of /ws/test/ accepts 1000-1003, 1007-1014 and 3000-4999.", "4000.", "[TestConsumer] Connection rejected - bad close code", refused, "Request one of these codes."},
		{"bad_ping", "The parameter ping of /ws/test/ accepts only off.", "4000.", "[TestConsumer] Connection rejected - bad ping", refused, "Send ping=off, or omit ping."},
		{"closed_as_asked", "The client requested this close from /ws/test/.", "The requested code.", ended + "closed_as_asked", closed, "Nothing."},
		{"token_missing", "The handshake has no token.", "4001.", "[JWTAuthMiddleware] No token provided", refused, "Send the token as the subprotocols [\"bearer\", token], in the header Authorization: Bearer, or as ?token=. If the client does, a proxy drops it."},
		{"token_invalid", "The token was refused; the detail has the sub-cause.", "4001.", badToken + "<sub-cause>", refused, "Look up the sub-cause under Tokens, or run roomspa token inspect."},
		{"token_expired", "The token has expired.", "4001.", badToken + "token_expired", refused, "The client must get a new token (POST /token/refresh/) before it connects, and answer token_expiring with an auth frame. If a new token is refused, see clock_skew."},
		{"token_revoked", "The user signed out everywhere after the token was issued.", "4001.", badToken + "token_revoked", refused, "The user must sign in again."},
		{"user_unknown", "The user of the token does not exist.", "4001.", "[JWTAuthMiddleware] User not found", refused, "Run roomspa user show <id>. The user was deleted, or another system with the same secret issued the token."},
		{"user_inactive", "The user is deactivated.", "4001.", "[JWTAuthMiddleware] User inactive", refused, "If this is wrong, run roomspa user activate <id>."},
		{"not_your_room", "The room belongs to other users.", "4003.", "Authorization failed - … tried to access …", refused, "Fix the app: it must put the user's own id on the side of the user's role."},
		{"wrong_role", "The user's role does not match this side of the room, or may not send messages.", "4003, or an error frame if support sends a message.", "Authorization failed - … tried to connect as …", refused, "Run roomspa user show <id>: the role in the database decides. The customer's id comes first in the path."},
		{"too_many_sockets", "The user has more open connections to this replica than --user-sockets.", "4003.", "[JWTAuthMiddleware] Too many sockets of user …", refused, "Check the client for connections that it does not close. If users need more, raise --user-sockets."},
		{"no_such_customer", "There is no customer with this id.", "4003.", "Authorization failed - … who does not exist", refused, "Run roomspa user show <id>. The user does not exist or has another role. Check whether the app swaps the ids."},
		{"no_such_therapist", "There is no therapist with this id.", "4003.", "Authorization failed - … who does not exist", refused, "Run roomspa user show <id>. The user does not exist or has another role. Check whether the app swaps the ids."},
	},
}

var tokens = Chapter{
	Title: "Tokens",
	About: "The sub-causes of `token_invalid`: in the `detail` of the error frame, in the log line and in the story.",
	Rows: []Entry{
		{"bad_signature", "The token was signed with another secret or modified.", "4001 token_invalid.", badToken + "bad_signature", refused, "Run roomspa token inspect with the replica's environment: it names a secret that was encoded in base64 twice, or has quotes or line breaks around it. Else add the issuer's secret to --jwt-secret (comma-separated), during a rotation both. If only some replicas refuse the token, see different_secrets."},
		{"wrong_algorithm", "The token's algorithm does not match any key.", "4001 token_invalid.", badToken + "wrong_algorithm", refused, "Sign tokens with HS256 and a secret of --jwt-secret, or with a key of --jwks."},
		{"unknown_key", "The token names a key (kid) that is not known.", "4001 token_invalid.", badToken + "unknown_key", refused, "Add the key with this kid to the file of --jwt-keys-file or to the JWKS of --jwks."},
		{"malformed", "The token is not a JWT.", "4001 token_invalid.", badToken + "malformed", refused, "The detail names the mistake, such as a line break after its end, quotes, a second encoding, or a text that is cut off, and says whether the token is good without it. Correct it where the client reads or sends the token; a new token ends the same way."},
		{"wrong_type", "The token is a refresh token, or its token_type is not access.", "4001 token_invalid.", badToken + "wrong_type", refused, "Send the access token."},
		{"missing_exp", "The token has no exp and would never expire.", "4001 token_invalid.", badToken + "missing_exp", refused, "Configure the issuer to set exp."},
		{"bad_exp", "The token's exp is not a number of seconds.", "4001 token_invalid.", badToken + "bad_exp", refused, "Configure the issuer to write Unix seconds (RFC 7519 §2)."},
		{"bad_iat", "The token's iat is not a number of seconds.", "4001 token_invalid.", badToken + "bad_iat", refused, "Configure the issuer to write Unix seconds (RFC 7519 §2)."},
		{"bad_nbf", "The token's nbf is not a number of seconds.", "4001 token_invalid.", badToken + "bad_nbf", refused, "Configure the issuer to write Unix seconds (RFC 7519 §2)."},
		{"bad_jti", "The token's jti is not a string of 1 to 64 characters.", "4001 token_invalid.", badToken + "bad_jti", refused, "Configure the issuer to write such a string."},
		{"not_yet_valid", "The token's nbf or iat is ahead of the server's clock.", "4001 token_invalid.", badToken + "not_yet_valid", refused, "Run NTP on the issuer and on the replicas. A skew of 5 s is tolerated."},
		{"missing_user_id", "The token has no user_id.", "4001 token_invalid.", badToken + "missing_user_id", refused, "Configure the issuer to set user_id, as Django SimpleJWT does."},
		{"bad_user_id", "The token's user_id is not an integer from 1 to 2^53-1.", "4001 token_invalid.", badToken + "bad_user_id", refused, "Configure the issuer to write the user's id in roomspa.users."},
		{"wrong_issuer", "The token's iss is not the accepted issuer.", "4001 token_invalid.", badToken + "wrong_issuer", refused, "Compare the token's iss with --jwks-issuer."},
		{"wrong_audience", "The token's aud does not contain this service.", "4001 token_invalid.", badToken + "wrong_audience", refused, "Compare the token's aud with --jwks-audience."},
		{"bad_ticket", "The ticket is unknown: it was used before, or is older than 30 s.", "4001 token_invalid.", badToken + "bad_ticket", `roomspa_tickets_total{outcome="unknown"}`, "Get a new ticket for each connection attempt (POST /api/ticket/)."},
		{"two_tokens", "The request has two different tokens.", "4001 token_invalid.", badToken + "two_tokens", refused, "Send one token: omit ?token= if the subprotocol or the header has it."},
		{"too_long", "A token, a message, its metadata or its client_message_id is too long.", "4001 token_invalid, or an error frame.", badToken + "too_long; Frame refused: too_long", "roomspa_messages_total{outcome=\"refused\"}", "Tokens have at most 8,192 bytes: check what the issuer puts into them. For messages, see --max-message-length."},
	},
}

const (
	jwksSees   = "Nothing if a known key has signed the token; 4001 token_invalid unknown_key if a new one has."
	jwksLine   = "[JWKS] Refresh failed: "
	jwksMetric = `roomspa_jwks_refreshes_total{outcome="failed"}`
)

var keySets = Chapter{
	Title: "Key sets",
	About: "Why a refresh of the keys of `--jwks` failed: `cause` in the log line and in `roomspa check --json`. The last known keys stay in use.",
	Rows: []Entry{
		{"jwks_unreachable", "The URL of --jwks does not answer.", jwksSees, jwksLine + "fetch JWKS: …", jwksMetric, "Check the URL of --jwks, its certificate, DNS, and that egress from the replicas is allowed."},
		{"jwks_refused", "The URL of --jwks answers with a status other than 200.", jwksSees, jwksLine + "fetch JWKS: HTTP status …", jwksMetric, "Check the URL of --jwks and the issuer's log."},
		{"jwks_unreadable", "The file of --jwks cannot be read.", jwksSees, jwksLine + "read JWKS: …", jwksMetric, "Check the path of --jwks, its mount and its permissions."},
		{"jwks_invalid", "The content of --jwks is not a JWK Set with usable keys.", jwksSees, jwksLine + "the key set …", jwksMetric, "Set --jwks to a JWK Set (RFC 7517 §5) with keys for RS256, ES256 or EdDSA."},
		{"jwks_key_left_out", "One key of --jwks cannot be used; the others are used.", "4001 token_invalid unknown_key for tokens of that key.", "[JWKS] Key ignored: <why>", "", "The log line has the reason: have the issuer fix the key. It is normal for keys of other uses or algorithms."},
	},
}

const frameRefused = "[…Consumer] Frame refused: "

var frames = Chapter{
	Title: "Error frames",
	About: "A frame was refused; the socket stays open. Words that are also close reasons are listed above.",
	Rows: []Entry{
		{"bad_json", "The frame is not a JSON object.", "An error frame.", frameRefused + "bad_json", "", "Fix the client."},
		{"bad_frame", "A field of the frame has the wrong type or form.", "An error frame with the field.", frameRefused + "bad_frame", "", "Fix the client: the frame names the field, and docs/asyncapi.yaml has its type."},
		{"bad_text", "A text contains a NUL character or an unpaired surrogate.", "An error frame with the field.", frameRefused + "bad_text", "", "Fix the client: it splits a text within a character."},
		{"unknown_type", "The frame type is unknown.", "An error frame.", frameRefused + "unknown_type", "", "Fix the client, or update the server if the type is new."},
		{"empty_message", "The message has no text and was not stored.", "An error frame.", "[ChatConsumer] Empty message ignored", "", "Fix the app: it must not send empty messages."},
		{"blocked", "The other side has blocked the user. The message was not stored.", "An error frame.", frameRefused + "blocked", "", "Nothing: only the other side can lift the block."},
		{"missing_field", "A required field of the frame is missing.", "An error frame with the field.", frameRefused + "missing_field", "", "Fix the client: the frame names the field."},
		{"out_of_range", "A number is out of range, or a message_type is not allowed.", "An error frame with the field.", frameRefused + "out_of_range", "", "Fix the client: the detail has the range."},
	},
}
