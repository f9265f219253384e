package api_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/api"
	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/budget"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// A library is a store with one conversation. Reads wait until release is closed.
type library struct {
	api.Store

	reading sync.WaitGroup
	release chan struct{}
}

func (l *library) Users(_ context.Context, ids []room.UserID) (map[room.UserID]*room.User, error) {
	return map[room.UserID]*room.User{ids[0]: {ID: ids[0], Role: room.Support, Active: true}}, nil
}

func (l *library) RoomOf(context.Context, room.ID) (room.Room, error) { return room.Room{}, nil }

func (l *library) RotateRefresh(context.Context, room.Refresh, room.Refresh, time.Duration) (room.Rotation, error) {
	l.reading.Done()
	<-l.release
	return room.Rotation{}, nil
}

func (l *library) Before(context.Context, room.ID, int64, int, int) ([]room.Message, bool, error) {
	l.reading.Done()
	<-l.release
	return nil, false, nil
}

// A reception is the API on a library.
type reception struct {
	*library

	t       *testing.T
	keys    *auth.Keys
	handler http.Handler
	running sync.WaitGroup
}

func newReception(t *testing.T, b *budget.Budget, settings ...func(*api.Options)) *reception {
	t.Helper()
	keys, err := auth.NewKeys([]string{secret})
	if err != nil {
		t.Fatal(err)
	}
	r := &reception{t: t, keys: keys, library: &library{release: make(chan struct{})}}
	o := loginOptions(someone(), auth.NewPasswords(1, 32), keys)
	o.Store, o.Budget = r.library, b
	for _, set := range settings {
		set(&o)
	}
	r.handler = api.New(o, slog.New(slog.DiscardHandler), nil)
	return r
}

// read asks for a page of messages.
func (r *reception) read(user room.UserID) *http.Response {
	r.t.Helper()
	token, _, err := r.keys.Mint(auth.Access, user, time.Now(), time.Hour)
	if err != nil {
		r.t.Fatal(err)
	}
	q := httptest.NewRequestWithContext(r.t.Context(), http.MethodGet, "/api/conversations/00000000-0000-4000-8000-000000000000/messages/", nil)
	q.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, q)
	return w.Result()
}

// login sends a request to sign in, perhaps with headers, and returns the status.
func (r *reception) login(body string, headers ...string) int {
	r.t.Helper()
	return r.post(strings.NewReader(body), headers...)
}

func (r *reception) post(body io.Reader, headers ...string) int {
	q := httptest.NewRequestWithContext(r.t.Context(), http.MethodPost, "/login/", body)
	q.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, q)
	return w.Result().StatusCode
}

// hold lets n reads of a user wait for the store.
func (r *reception) hold(user room.UserID, n int) {
	r.reading.Add(n)
	for range n {
		r.running.Go(func() {
			if res := r.read(user); res.StatusCode != http.StatusOK {
				r.t.Errorf("user %d: status %d", user, res.StatusCode)
			}
		})
	}
	r.reading.Wait()
}

func (r *reception) expect(user room.UserID, status int) {
	r.t.Helper()
	if res := r.read(user); res.StatusCode != status || (res.Header.Get("Retry-After") == "") != (status == http.StatusOK) {
		r.t.Errorf("user %d: status %d, Retry-After %q, want %d", user, res.StatusCode, res.Header.Get("Retry-After"), status)
	}
}

func TestAUserReadsAFewPagesAtATime(t *testing.T) {
	t.Parallel()
	b := budget.New(64 << 20)
	r := newReception(t, b)
	r.hold(1, 4)
	r.expect(1, http.StatusTooManyRequests)
	r.hold(2, 4) // others do not notice
	if b.Held() < 8*256<<10 {
		t.Errorf("%d bytes are counted", b.Held())
	}
	close(r.release)
	r.running.Wait()
	r.reading.Add(1)
	r.expect(1, http.StatusOK)
	if b.Held() != 0 {
		t.Errorf("%d bytes are held at the end", b.Held())
	}
}

// refresh uses a refresh token of a user.
func (r *reception) refresh(user room.UserID) int {
	r.t.Helper()
	token, err := r.keys.MintRefresh(auth.FirstRefresh(user, time.Now(), time.Hour))
	if err != nil {
		r.t.Fatal(err)
	}
	q := httptest.NewRequestWithContext(r.t.Context(), http.MethodPost, "/token/refresh/", strings.NewReader(`{"refresh_token":"`+token+`"}`))
	q.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, q)
	return w.Result().StatusCode
}

func TestAUserRefreshesAFewTokensAtATime(t *testing.T) {
	t.Parallel()
	r := newReception(t, nil)
	for user := range room.UserID(2) { // others do not notice
		r.reading.Add(4)
		for range 4 {
			r.running.Go(func() {
				if status := r.refresh(user + 1); status != http.StatusOK {
					t.Errorf("user %d: status %d", user+1, status)
				}
			})
		}
		r.reading.Wait()
		if status := r.refresh(user + 1); status != http.StatusServiceUnavailable {
			t.Errorf("one more of user %d: status %d", user+1, status)
		}
	}
	close(r.release)
	r.running.Wait()
	r.reading.Add(1)
	if status := r.refresh(1); status != http.StatusOK {
		t.Errorf("when they have ended: status %d", status)
	}
}

func TestARequestBeyondTheBudgetIsRefused(t *testing.T) {
	t.Parallel()
	b := budget.New(600 << 10)
	newReception(t, b).expect(1, http.StatusServiceUnavailable)
	b = budget.New(10 << 10)
	r := newReception(t, b)
	r.expect(1, http.StatusServiceUnavailable)
	if status := r.login("{}"); status != http.StatusServiceUnavailable {
		t.Errorf("a sign-in has status %d", status)
	}
	if b.Held() != 0 {
		t.Errorf("%d bytes are held", b.Held())
	}
	r = newReception(t, budget.New(1536<<10)) // too little for a page of a stranger
	close(r.release)
	r.reading.Add(1)
	r.expect(1, http.StatusOK)
}

// TestPlacesAreTakenAndGivenBack has 1,024 places.
func TestPlacesAreTakenAndGivenBack(t *testing.T) {
	t.Parallel()
	r := newReception(t, nil)
	for user := range room.UserID(255) {
		r.hold(user+1, 4)
	}
	if status := r.login("{}"); status != http.StatusBadRequest {
		t.Errorf("users take the places of strangers: status %d", status)
	}
	r.hold(256, 4)
	r.expect(257, http.StatusServiceUnavailable)
	close(r.release)
	r.running.Wait()
	r.reading.Add(1)
	r.expect(257, http.StatusOK)
}

// A slowBody is a body that does not come until it is closed.
type slowBody struct {
	read func()
	end  chan struct{}
}

func (s slowBody) Read([]byte) (int, error) {
	s.read()
	<-s.end
	return 0, io.ErrUnexpectedEOF
}

// A deadlineWriter records the last deadline of an answer.
type deadlineWriter struct {
	*httptest.ResponseRecorder

	deadline time.Time
}

func (d *deadlineWriter) SetWriteDeadline(at time.Time) error {
	d.deadline = at
	return nil
}

func TestARequestUnderWayHasADeadline(t *testing.T) {
	t.Parallel()
	w, left := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}, time.Duration(0)
	end := make(chan struct{})
	close(end)
	body := slowBody{func() { left = time.Until(w.deadline) }, end}
	q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login/", body)
	q.Header.Set("Content-Type", "application/json")
	newReception(t, nil).handler.ServeHTTP(w, q)
	if left <= 0 || left > 30*time.Second {
		t.Errorf("while the body is read, the deadline is in %v", left)
	}
}

func TestStrangersDoNotTakeThePlacesOfUsers(t *testing.T) {
	t.Parallel()
	r := newReception(t, budget.New(64<<20))
	end := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Add(768)
	for range 768 {
		r.running.Go(func() { r.post(slowBody{waiting.Done, end}) })
	}
	waiting.Wait()
	for _, authorization := range []string{"", "Bearer not.a.token"} {
		if status := r.login("{}", "Authorization", authorization); status != http.StatusServiceUnavailable {
			t.Errorf("one more with %q: status %d", authorization, status)
		}
	}
	close(r.release)
	r.reading.Add(1)
	r.expect(1, http.StatusOK)
	close(end)
	r.running.Wait()
	if status := r.login("{}"); status != http.StatusBadRequest {
		t.Errorf("when they are gone: status %d", status)
	}
}

func TestVaryNamesTheOrigin(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a")
	for path, token := range map[string]string{
		"/api/conversations/": w.Token(t, world.Customer), "/api/conversations": "", "/nothing/": "", "/login/": "", "/ws/test/": "", "/ws/none/": "",
	} {
		for _, origin := range []string{"http://" + r.Addr(), "http://evil.example"} {
			res, _ := r.Request(t, http.MethodGet, path, token, "", "Origin", origin)
			if vary := res.Header.Get("Vary"); !strings.Contains(vary, "Origin") {
				t.Errorf("%s from %s: Vary: %s", path, origin, vary)
			}
		}
	}
}
