package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// Classic reads what the paths of the predecessor show beside [Conversations]. Its errors wrap
// [room.ErrNotFound] or [room.ErrUnavailable].
type Classic interface {
	// ConversationByNumber returns the conversation with a number.
	ConversationByNumber(ctx context.Context, number int64) (room.ID, error)
	// ConversationDetails returns the details of conversations. Unread is that of the user.
	ConversationDetails(ctx context.Context, user room.UserID, ids []room.ID) (map[room.ID]*room.Details, error)
	// People returns users by id. The map has no entry for a user who does not exist.
	People(ctx context.Context, ids []room.UserID) (map[room.UserID]room.Person, error)
	// ReadTimes returns when the predecessor marked messages as read, by seq.
	ReadTimes(ctx context.Context, conversation room.ID, first, last int64) (map[int64]time.Time, error)
}

// A classic serves the paths of the predecessor below /chat/, with its members and statuses. The
// list and the page contain what [Classic] and [Conversations] have; only the people of a
// conversation may use it, and support is none of them.
type classic struct {
	base

	store    Store
	receipts Receipts
	authenticator
}

// ClassicPaths lists the paths of the predecessor, for the answer to an unknown path.
var ClassicPaths = []string{"/chat/conversations/", "/chat/messages/", "/chat/conversations/read/"}

// isClassicPath reports whether the path is one of [ClassicPaths], with or without the slash at
// its end.
func isClassicPath(path string) bool {
	for _, p := range ClassicPaths {
		if path == p || path == strings.TrimSuffix(p, "/") {
			return true
		}
	}
	return false
}

func (c *classic) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.serve(w, r, func(e *exchange) (any, string, *failure) {
		answer, message, fail := c.answer(e)
		if fail != nil {
			asPredecessor(fail)
			return nil, "", fail
		}
		w.Header().Set("Vary", "Origin, Authorization")
		return answer, message, nil
	})
}

// answer checks the token, and then the method and the rest, as the predecessor did.
func (c *classic) answer(e *exchange) (answer any, message string, fail *failure) {
	user, _, fail := c.authenticate(e)
	if fail != nil {
		return nil, "", fail
	}
	path := strings.TrimSuffix(e.r.URL.EscapedPath(), "/")
	if path == "/chat/conversations/read" {
		if fail := requirePost(e.w, e.r); fail != nil {
			return nil, "", wrongMethod(e.r)
		}
		return c.markRead(e, user)
	}
	if fail := requireGet(e.w, e.r); fail != nil {
		return nil, "", wrongMethod(e.r)
	}
	if fail := e.visit.startPage(user.ID); fail != nil {
		return nil, "", fail
	}
	if path == "/chat/conversations" {
		return c.list(e, user)
	}
	return c.messages(e, user)
}

// conversationOf returns the conversation with a number, if the user takes part in it.
func (c *classic) conversationOf(e *exchange, user *room.User, number int64) (*room.Details, *failure) {
	unknown := classicMessage(http.StatusNotFound, "no_such_conversation", "There is no such conversation.")
	ctx := e.r.Context()
	id, err := c.store.ConversationByNumber(ctx, number)
	if err != nil {
		if errors.Is(err, room.ErrNotFound) {
			return nil, unknown
		}
		return nil, databaseFailure(err)
	}
	found, err := c.store.ConversationDetails(ctx, user.ID, []room.ID{id})
	d := found[id]
	switch {
	case err != nil:
		return nil, databaseFailure(err)
	case d == nil: // deleted meanwhile
		return nil, unknown
	case user.Role == room.Customer && user.ID == d.Room.Customer, user.Role == room.Therapist && user.ID == d.Room.Therapist:
		return d, nil
	}
	return nil, classicMessage(http.StatusForbidden, "not_your_room", "You do not take part in this conversation.")
}

// classicMessage returns a failure whose body has the member message.
func classicMessage(status int, cause, message string) *failure {
	fail := newFailure(status, cause, message)
	fail.body = map[string]string{"message": message}
	return fail
}

// classicDetail returns a failure whose body has the member detail.
func classicDetail(status int, cause, detail string) *failure {
	fail := newFailure(status, cause, detail)
	fail.body = map[string]string{"detail": detail}
	return fail
}

func wrongMethod(r *http.Request) *failure {
	return classicDetail(http.StatusMethodNotAllowed, "method_not_allowed", `Method "`+truncate(r.Method)+`" not allowed.`)
}

// A refusedToken is the body of an answer to a request with a bad token.
type refusedToken struct {
	Detail   string           `json:"detail"`
	Code     string           `json:"code"`
	Messages []refusedMessage `json:"messages,omitempty"`
}

type refusedMessage struct {
	TokenClass string `json:"token_class"`
	TokenType  string `json:"token_type"`
	Message    string `json:"message"`
}

// asPredecessor gives a failure the body that the predecessor's answer had, unless it has one.
func asPredecessor(fail *failure) {
	switch {
	case fail.body != nil:
	case fail.Status != http.StatusUnauthorized:
		fail.body = map[string]string{"detail": fail.Detail}
	case fail.Code == "token_missing":
		fail.body = map[string]string{"detail": "Authentication credentials were not provided."}
	case fail.Code == "user_unknown":
		fail.body = refusedToken{Detail: "User not found", Code: "user_not_found"}
	case fail.Code == "user_inactive":
		fail.body = refusedToken{Detail: "User is inactive", Code: "user_inactive"}
	default:
		fail.body = refusedToken{
			Detail: "Given token not valid for any token type", Code: "token_not_valid",
			Messages: []refusedMessage{{"AccessToken", "access", "Token is invalid or expired"}},
		}
	}
}
