package handshake_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestCloseCodesForLibrariesThatCannotReceive1012(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	full, r := w.Ready(t, "full", func(o *app.Options) { o.SoftLimit = 1 }), w.Ready(t, "a")
	full.Chat(t, world.Therapist)
	for _, query := range []string{"close_codes=app", "close_codes=", "close_codes=other", ""} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		offset := 0
		if query == "close_codes=app" {
			offset = 3000
		}
		for _, path := range []string{"/ws/chat/1/2/", "/ws/location/1/2/", "/ws/inbox/", "/ws/test/"} {
			full.ConnectAs(t, world.Customer, path, values).ExpectRefusal(t, 1013+offset, "busy")
		}
		for code, reason := range map[string]string{"1012": "restart", "1013": "busy", "1011": "database_unavailable"} {
			values.Set("close", code)
			want := map[string]int{"1012": 1012 + offset, "1013": 1013 + offset, "1011": 1011}[code]
			r.Connect(t, world.Handshake{Path: "/ws/test/", Query: values}).ExpectRefusal(t, want, reason)
		}
	}
	world.Eventually(t, "all closes are counted under 1012", func() (bool, any) {
		n := r.Metric(t, `roomspa_closes_total{code="1012",endpoint="test",reason="restart"}`)
		return n == 4, n
	})
	values := url.Values{"last_ref": {"0123456789abcdef"}, "last_code": {"4012"}}
	r.ConnectAs(t, world.Customer, "/ws/chat/1/2/", values).Expect(t, "connected")
	if n := r.Metric(t, `roomspa_client_reported_closes_total{code="1012"}`); n != 1 {
		t.Errorf("%g reported closes are counted under 1012", n)
	}
}

func TestAReplicaThatLeavesSays4012ToWhoAskedForIt(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a", func(o *app.Options) { o.DrainTimeout = time.Millisecond })
	s := r.ConnectAs(t, world.Customer, "/ws/chat/1/2/", url.Values{"close_codes": {"app"}})
	s.Expect(t, "connected")
	if err := r.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	s.ExpectRefusal(t, 4012, "restart")
}
