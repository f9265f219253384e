package api

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/budget"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/room"
)

const (
	// maxRequests is the number of requests of a replica that are served at the same time.
	maxRequests = 1024
	// maxAnonymous is the number of those without a valid token. Strangers cannot take the rest.
	maxAnonymous = 768
	// maxPerUser is the number of the rest that one user may take.
	maxPerUser = 32
	// maxPagesPerUser is the number of pages that one user may read at the same time.
	maxPagesPerUser = 4
	// maxRefreshesPerUser is the number of refresh tokens of one user that are used or revoked
	// at the same time.
	maxRefreshesPerUser = 4

	// requestBytes is what each request takes from the budget: its body and a short answer.
	requestBytes = 2 * maxBody
	// pageBytes is what a page takes: the messages and the answer.
	pageBytes = 2 * frame.MaxPage

	// maxRequestTime is the time within which the answer to a request must begin.
	maxRequestTime = 30 * time.Second
)

// An admission bounds the requests that are served at the same time, and the bytes that they
// hold. It refuses the others at once.
type admission struct {
	base

	budget  *budget.Budget
	tokens  Tokens
	isProxy func(remote string) bool
	share   float64 // of maxAnonymous that an address may take once half are taken; 0 means no limit

	mu        sync.Mutex
	anonymous int            // requests without a valid token
	addresses map[string]int // of anonymous, by network
	signedIn  int
	users     map[room.UserID]int // of signedIn, those that were admitted for their token
	pages     map[room.UserID]int // pages that are read, by user
	refreshes map[room.UserID]int // refresh tokens that are used or revoked, by user
}

// A visit is a request that is served. The methods of a nil visit do nothing.
type visit struct {
	admission *admission
	account   budget.Account
	network   string // of the client: its address, or the /64 for IPv6
	signedIn  bool
	user      room.UserID // was admitted for their token; 0 if nobody had to be
	reader    room.UserID // reads a page; 0 if the request reads none
	refresher room.UserID // uses or revokes a refresh token; 0 if the request does not
}

type visitKey struct{}

// admit returns a handler that calls next, or refuses the request.
func (a *admission) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(maxRequestTime))
		ref, remote := a.who(r)
		v := &visit{admission: a, network: logging.Network(remote)}
		if a.isProxy(remote) {
			v.network = ref // one address for many clients
		}
		if !a.enter(v, r) {
			a.exchange(w, r).reject(tooBusy())
			return
		}
		defer v.leave()
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitKey{}, v)))
	})
}

// enter takes a place and the bytes of a request. It looks at the token only if strangers have
// taken their places.
func (a *admission) enter(v *visit, r *http.Request) bool {
	if !a.takePlace(v) {
		token, err := auth.FromRequest(r)
		if err != nil {
			return false
		}
		claims, err := a.tokens.Verify(token, time.Now())
		if err != nil {
			return false
		}
		if v.signedIn, v.user = true, claims.UserID; !a.takePlace(v) {
			return false
		}
	}
	v.account.Open(a.budget, !v.signedIn)
	if !v.account.Take(requestBytes) {
		v.leave()
		return false
	}
	return true
}

func (a *admission) takePlace(v *visit) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.anonymous+a.signedIn >= maxRequests:
		return false
	case v.signedIn && a.users[v.user] >= maxPerUser:
		return false
	case v.signedIn:
		a.signedIn++
		a.users[v.user]++
	case a.anonymous >= maxAnonymous || a.exceeds(v.network):
		return false
	default:
		a.countAnonymous(v, 1)
	}
	return true
}

// exceeds reports whether one more request exceeds the share of an address.
func (a *admission) exceeds(network string) bool {
	return a.share > 0 && a.anonymous >= maxAnonymous/2 && float64(a.addresses[network]+1) > max(1, a.share*maxAnonymous)
}

// countAnonymous changes the number of requests without a valid token. The caller holds the
// mutex.
func (a *admission) countAnonymous(v *visit, n int) {
	a.anonymous += n
	if a.addresses[v.network] += n; a.addresses[v.network] == 0 {
		delete(a.addresses, v.network)
	}
}

// authenticated makes the request that of a signed-in user.
func (v *visit) authenticated() {
	if v == nil || v.signedIn {
		return
	}
	v.signedIn = true
	v.account.Authenticated()
	v.admission.mu.Lock()
	defer v.admission.mu.Unlock()
	v.admission.countAnonymous(v, -1)
	v.admission.signedIn++
}

// startPage lets the request read a page for the user.
func (v *visit) startPage(user room.UserID) *failure {
	if v == nil {
		return nil
	}
	a := v.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pages[user] >= maxPagesPerUser {
		return &failure{cause: "too_many_requests", Problem: problem.Problem{
			Status: http.StatusTooManyRequests, Code: "too_many_requests", RetryAfter: time.Second,
			Detail: "More than " + strconv.Itoa(maxPagesPerUser) + " pages of this user are read at the same time; try again after the time in Retry-After.",
		}}
	}
	if !v.account.Take(pageBytes) {
		return tooBusy()
	}
	a.pages[user]++
	v.reader = user
	return nil
}

// take lets the request hold more bytes, if there are as many.
func (v *visit) take(size int) bool { return v == nil || v.account.Take(size) }

// startRefresh lets the request use or revoke a refresh token of the user. Those of one user
// wait for each other in Postgres, and hold connections meanwhile.
func (v *visit) startRefresh(user room.UserID) *failure {
	if v == nil {
		return nil
	}
	a := v.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refreshes[user] >= maxRefreshesPerUser {
		return tooBusy()
	}
	a.refreshes[user]++
	v.refresher = user
	return nil
}

// leave ends the visit, when the answer is written.
func (v *visit) leave() {
	v.account.Close()
	a := v.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	if v.signedIn {
		a.signedIn--
	} else {
		a.countAnonymous(v, -1)
	}
	if v.user != 0 {
		decrement(a.users, v.user)
	}
	if v.reader != 0 {
		decrement(a.pages, v.reader)
	}
	if v.refresher != 0 {
		decrement(a.refreshes, v.refresher)
	}
}

// decrement forgets a user whose number becomes 0.
func decrement(m map[room.UserID]int, user room.UserID) {
	if m[user]--; m[user] == 0 {
		delete(m, user)
	}
}

// tooBusy refuses a request that finds no place or no memory.
func tooBusy() *failure {
	fail := busy(nil)
	fail.Detail = "The server is serving too many requests; try again after the time in Retry-After."
	return fail
}
