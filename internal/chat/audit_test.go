package chat_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestWhatSupportReadsIsAudited(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a")
	customer := r.Chat(t, world.Customer)
	for i := range 3 {
		customer.Deliver(t, fmt.Sprint(i), fmt.Sprint(i))
	}
	s := r.ConnectAs(t, world.Support, "/ws/chat/1/2/", url.Values{"since": {"1"}})
	s.Find(t, "resumed")
	s.Send(t, `{"type": "history", "limit": 2}`)
	s.Find(t, "history")
	live, place := r.ConnectAs(t, world.Support, "/ws/chat/1/2/", nil), r.ConnectAs(t, world.Support, "/ws/location/1/2/", nil)
	live.Find(t, "connected")
	place.Find(t, "connected")
	for ref, want := range map[string][]string{
		s.Ref(): {
			`[Audit] Support opened a room`, `user=6 endpoint=chat customer=1 therapist=2 from_seq=2`,
			`[Audit] Support read history`, `user=6 endpoint=chat customer=1 therapist=2 from_seq=2 to_seq=3`,
		},
		live.Ref():  {`[Audit] Support opened a room`, `user=6 endpoint=chat customer=1 therapist=2 from_seq=4`},
		place.Ref(): {`[Audit] Support opened a room`, `user=6 endpoint=location customer=1 therapist=2`},
	} {
		for _, words := range want {
			if log := r.Log.About(ref); strings.Count(log, words) < 1 {
				t.Errorf("%s is not there:\n%s", words, log)
			}
		}
	}
	if log := r.Log.About(customer.Ref()); strings.Contains(log, "Audit") {
		t.Errorf("a customer is audited:\n%s", log)
	}
}
