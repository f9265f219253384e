package handshake_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestSoftLimit(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a", func(o *app.Options) { o.SoftLimit = 2 })
	first, second := r.Chat(t, world.Customer), r.Location(t, world.Therapist)
	for _, path := range []string{"/ws/chat/1/2/", "/ws/location/1/2/", "/ws/test/"} {
		g := r.ConnectAs(t, world.Customer, path, nil).ExpectRefusal(t, 1013, "busy")
		if *g.AfterMS < 1000 || *g.AfterMS > 5000 {
			t.Errorf("come back after %d ms", *g.AfterMS)
		}
	}
	first.ExpectNothing(t)
	second.ExpectNothing(t)
	_ = second.Conn.CloseNow()
	r.WaitAdmitted(t)
}

func TestHardLimit(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a", func(o *app.Options) { o.SoftLimit, o.HardLimit = 2, 2 })
	first, second := r.Chat(t, world.Customer), r.Location(t, world.Therapist)
	for _, path := range []string{"/ws/chat/1/2/", "/ws/test/"} {
		res, body := r.Raw(t, world.Upgrade(path)...)
		d := world.ExpectProblem(t, res, body, http.StatusServiceUnavailable)
		if after, err := strconv.Atoi(res.Header.Get("Retry-After")); err != nil || after < 1 || after > 5 {
			t.Errorf("Retry-After is %q: %+v", res.Header.Get("Retry-After"), d)
		}
	}
	first.ExpectNothing(t)
	second.ExpectNothing(t)
	_ = second.Conn.CloseNow()
	r.WaitAdmitted(t)
}

func TestAHandshakeThatWaitsTooLongForItsTurnIsToldToComeBack(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", func(o *app.Options) {
		o.MaxHandshakes, o.DatabaseLockTimeout, o.DatabaseStatementTimeout = 1, time.Minute, time.Minute
	})
	tx, err := w.SQL(t).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK TABLE roomspa.users"); err != nil {
		t.Fatal(err)
	}
	first := r.ConnectAs(t, world.Customer, "/ws/chat/1/2/", nil) // it has the only turn
	world.Eventually(t, "the first one has its turn", func() (bool, any) {
		var waiting int // its lines are logged when its user is known
		err := tx.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE relation = 'roomspa.users'::regclass AND NOT granted").Scan(&waiting)
		return waiting > 0, err
	})
	began := time.Now()
	r.ConnectAs(t, world.Therapist, "/ws/chat/1/2/", nil).ExpectRefusal(t, 1013, "busy")
	if took := time.Since(began); took < 1900*time.Millisecond {
		t.Errorf("told to come back after %v, want 2 s", took)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.Expect(t, "connected")
	r.Chat(t, world.Therapist)
}
