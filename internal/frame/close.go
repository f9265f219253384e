package frame

import "time"

// The close codes of the protocol. RFC 6455 §7.4.1 gives those below 3000.
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

// A Close is how a socket ends, and an error wherever one is returned.
type Close struct {
	Code   int
	Reason string // the stable word
	Detail string // for the client: the sub-cause's word, or a sentence; no internals
	Cause  error  // for the log alone
	// After is the delay that the client is asked to keep before it comes back,
	// sent in a reconnect frame before 1012 and 1013.
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

// Text returns the reason that goes into the Close frame: the word, then the
// reference. RFC 6455 §5.5 leaves 123 bytes for it.
func (c *Close) Text(ref string) string {
	if ref == "" {
		return c.Reason
	}
	return c.Reason + " ref=" + ref
}

// A Reason is one entry of the protocol's list of closes.
type Reason struct {
	Code   int
	Word   string
	Means  string // for a person
	Client string // what a client does
}

const (
	never   = "Do not retry: mend the request."
	renew   = "Get a new token, then retry once."
	backoff = "Reconnect with a growing, jittered delay, and resume."
)

// Reasons lists every close that the server sends, in the order of the codes.
var Reasons = []Reason{
	{CodeNormal, "bye", "The client closed, and the server answers.", "Nothing: it is over."},
	{CodeProtocol, "protocol_error", "The client broke RFC 6455.", "Do not retry: mend the client."},
	{CodeUnsupported, "text_only", "A binary frame on a JSON endpoint.", "Do not retry: send text frames."},
	{CodeInvalidData, "invalid_utf8", "Text that is not UTF-8.", "Do not retry: mend the client."},
	{CodePolicy, "rate_limited", "The client kept breaking a limit that it was told about.", "Reconnect after a minute, and send slower."},
	{CodeTooBig, "too_large", "A message larger than the limit.", "Reconnect, and do not send that message again."},
	{CodeInternal, "database_unavailable", "Postgres cannot be used: refused, a time-out, read-only, or its schema.", backoff},
	{CodeInternal, "channel_layer_unavailable", "Redis did not confirm the subscription in time.", backoff},
	{CodeInternal, "internal", "A fault of the server; the log has it under the reference.", backoff},
	{CodeRestart, "restart", "This replica restarts.", "Reconnect after after_ms, and resume."},
	{CodeRestart, "rebalance", "This replica holds more sockets than the others, and sheds some.", "Reconnect after after_ms, and resume."},
	{CodeTryLater, "busy", "This replica is full, or its memory nearly used up.", "Reconnect after after_ms, and resume."},
	{CodeTryLater, "slow_consumer", "The client reads too slowly and fell behind.", "Reconnect after after_ms, and resume."},
	{CodeTryLater, "pong_timeout", "The client did not answer a ping in time.", "Reconnect, and resume."},
	{CodeParameters, "missing_customer_id", "The path has no customer id.", never},
	{CodeParameters, "missing_therapist_id", "The path has no therapist id.", never},
	{CodeParameters, "bad_id", "An id in the path is not a positive whole number.", never},
	{CodeParameters, "bad_since", "since is not a whole number of 0 or more.", never},
	{CodeParameters, "bad_close_code", "/ws/test/?close= takes 1000-1003, 1007-1014 and 3000-4999.", never},
	{CodeParameters, "bad_ping", "/ws/test/?ping= takes off, and nothing else.", never},
	{CodeIdentity, "token_missing", "No token came with the handshake.", renew},
	{CodeIdentity, "token_invalid", "The token cannot be accepted; detail names the sub-cause.", renew},
	{CodeIdentity, "token_expired", "The token's time is over.", renew},
	{CodeIdentity, "token_revoked", "The user signed out everywhere after the token was issued.", "Sign in again."},
	{CodeIdentity, "user_unknown", "There is no such user.", "Sign in again."},
	{CodeIdentity, "user_inactive", "The user was deactivated.", "Do not retry: ask support."},
	{CodeForbidden, "not_your_room", "The room belongs to somebody else.", never},
	{CodeForbidden, "wrong_role", "The user's role is not the one of that side of the room.", never},
	{CodeForbidden, "no_such_customer", "There is no customer of that id.", never},
	{CodeForbidden, "no_such_therapist", "There is no therapist of that id.", never},
}

// Find returns the entry of a code and word, or a zero Reason.
func Find(code int, word string) Reason {
	for _, r := range Reasons {
		if r.Code == code && (r.Word == word || word == "") {
			return r
		}
	}
	return Reason{}
}
