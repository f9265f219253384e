package frame

import (
	"cmp"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
)

// The close codes of the protocol. RFC 6455 §7.4.1 defines those below 3000.
const (
	CodeNormal      = 1000
	CodeGoingAway   = 1001
	CodeProtocol    = 1002
	CodeUnsupported = 1003
	CodeInvalidData = 1007
	CodePolicy      = 1008
	CodeTooBig      = 1009
	CodeInternal    = 1011
	CodeRestart     = 1012
	CodeTryLater    = 1013
	CodeParameters  = 4000
	CodeIdentity    = 4001
	CodeForbidden   = 4003
)

// AppCloseCodes is the value of the handshake's parameter close_codes for libraries that cannot
// receive 1012 and 1013, which RFC 6455 did not define yet.
const AppCloseCodes = "app"

// appOffset is what 1012 and 1013 differ by from the codes that are sent in their place.
const appOffset = 3000

// AppCode returns the code that is sent in place of code after close_codes=app: 4012 for 1012,
// 4013 for 1013, else code itself.
func AppCode(code int) int {
	if code == CodeRestart || code == CodeTryLater {
		return code + appOffset
	}
	return code
}

// StandardCode is the inverse of [AppCode].
func StandardCode(code int) int {
	if standard := code - appOffset; standard == CodeRestart || standard == CodeTryLater {
		return standard
	}
	return code
}

// A Close describes why and how a socket is closed. It is an error, so that functions can
// return it.
type Close struct {
	Code   int
	Reason string // the stable word
	Detail string // sent to the client: a sub-cause or a sentence, without internals
	Cause  error  // for the log only
	// After is the delay before the client reconnects. It is sent in the reconnect frame
	// before 1012 and 1013.
	After time.Duration
}

func (c *Close) Error() string {
	s := c.Reason
	if c.Detail != "" {
		s += ": " + c.Detail
	}
	if c.Cause != nil {
		s += ": " + c.Cause.Error()
	}
	return s
}

func (c *Close) Unwrap() error { return c.Cause }

// detail returns the text for the client. If the server is at fault it begins with the word of
// the cause, such as redis_permission_denied.
func (c *Close) detail() string {
	text := c.Detail
	if c.Code == CodeInternal {
		text = cause.Describe(c.Cause, text)
	}
	return cmp.Or(text, Find(c.Code, c.Reason).Means)
}

// Text returns the reason for the Close frame: the word, then the reference. RFC 6455 §5.5
// limits it to 123 bytes.
func (c *Close) Text(ref string) string {
	if ref == "" {
		return c.Reason
	}
	return c.Reason + " ref=" + ref
}

// A Reason is one entry of [Reasons].
type Reason struct {
	Code   int
	Word   string
	Means  string // what happened, as a sentence
	Client string // what the client should do, as sentences
}

const (
	never      = "Do not retry. Fix the request."
	fixClient  = "Do not retry. Fix the client."
	afterDelay = "Reconnect after after_ms, then resume."
	renew      = "Get a new token, then retry once."
	backoff    = "Reconnect with exponential backoff and jitter, then resume."
)

// Reasons lists every close that the server sends, ordered by code.
var Reasons = []Reason{
	{CodeNormal, "bye", "The client closed the connection.", "Nothing."},
	{CodeProtocol, "protocol_error", "The client violated RFC 6455.", fixClient},
	{CodeUnsupported, "text_only", "The client sent a binary frame to a JSON endpoint.", "Do not retry. Send text frames."},
	{CodeInvalidData, "invalid_utf8", "The client sent text that is not UTF-8.", fixClient},
	{CodePolicy, "rate_limited", "The client sent too many control frames or fragments, or too many messages to /ws/test/.", "Reconnect after a minute and send fewer frames."},
	{CodePolicy, "message_timeout", "A message was not complete 10 s after its first byte.", "Reconnect and send the message again."},
	{CodeTooBig, "too_large", "The message exceeds the size limit.", "Reconnect. Do not send that message again."},
	{CodeInternal, "database_unavailable", "Postgres is unavailable: connection refused, timeout, read-only or wrong schema version.", backoff},
	{CodeInternal, "channel_layer_unavailable", "Redis did not confirm the subscription in time.", backoff},
	{CodeInternal, "internal", "Server error. The log has the cause under this reference.", backoff},
	{CodeRestart, "restart", "The replica is shutting down.", afterDelay},
	{CodeRestart, "rebalance", "The replica has more connections than other replicas and sheds some.", afterDelay},
	{CodeRestart, "max_age", "The connection has reached its maximum age.", afterDelay},
	{CodeRestart, "closed_by_operator", "An operator closed the connection.", afterDelay},
	{CodeTryLater, "busy", "The replica has reached its connection or memory limit.", afterDelay},
	{CodeTryLater, "slow_consumer", "The client reads too slowly and fell behind.", afterDelay},
	{CodeTryLater, "over_budget", "The replica is short of memory for what the client leaves unread or unfinished.", afterDelay},
	{CodeTryLater, "pong_timeout", "The client did not answer a ping in time.", "Reconnect, then resume."},
	{CodeParameters, "missing_customer_id", "The path has no customer id.", never},
	{CodeParameters, "missing_therapist_id", "The path has no therapist id.", never},
	{CodeParameters, "bad_id", "An id in the path is not a positive integer.", never},
	{CodeParameters, "bad_since", "The parameter since is not an integer of 0 or more, or id is not a UUID.", never},
	{CodeParameters, "bad_close_code", "The parameter close of /ws/test/ accepts 1000-1003, 1007-1014 and 3000-4999.", never},
	{CodeParameters, "bad_ping", "The parameter ping of /ws/test/ accepts only off.", never},
	{CodeIdentity, "token_missing", "The handshake has no token.", renew},
	{CodeIdentity, "token_invalid", "The token was refused; detail has the reason.", renew},
	{CodeIdentity, "token_expired", "The token has expired.", renew},
	{CodeIdentity, "token_revoked", "The user signed out everywhere after the token was issued.", "Sign in again."},
	{CodeIdentity, "user_unknown", "The user does not exist.", "Sign in again."},
	{CodeIdentity, "user_inactive", "The user is deactivated.", "Do not retry. Contact support."},
	{CodeForbidden, "not_your_room", "The room belongs to other users.", never},
	{CodeForbidden, "wrong_role", "The user's role does not match this side of the room, or has changed.", never},
	{CodeForbidden, "too_many_sockets", "The user has too many open connections to this replica.", "Do not retry by itself. Close other connections first."},
	{CodeForbidden, "no_such_customer", "There is no customer with this id.", never},
	{CodeForbidden, "no_such_therapist", "There is no therapist with this id.", never},
}

// Find returns the entry for a code and a word, or the zero Reason if there is none. An
// empty word matches the first entry of the code.
func Find(code int, word string) Reason {
	for _, r := range Reasons {
		if r.Code == code && (r.Word == word || word == "") {
			return r
		}
	}
	return Reason{}
}
