package inspect

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/roomspa/roomspa/internal/session"
)

var byPrefix = cmpopts.EquateComparable(Filter{})

func TestParametersThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"user=0": "user: ", "user=-1": "user: ", "user=1.5": "user: ", "user=9007199254740992": "user: ", "user=1&user=2": "user: is given more than once",
		"usr=1": `"usr": is no parameter here; there are `, "room=1": "room: ", "room=1/2/3": "room: ", "room=a/b": "room: ", "room=01/2": "room: ",
		"ref=x": "ref: ", "endpoint=api": "endpoint: must be chat, location, inbox, test, not ",
		"dialect=x": "dialect: ", "state=x": "state: ", "address=x": "address: ", "address=10.0.0.0/33": "address: ",
		"min_age=1": "min_age: ", "min_age=-1s": "min_age: ", "min_age=9000h": "min_age: ", "min_queue=x": "min_queue: ", "min_held=-1": "min_held: ",
		"sort=x": "sort: ", "limit=0": "limit: ", "limit=501": "limit: ", "replica=" + strings.Repeat("x", 101): "replica: has more than 100 bytes",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseConnections(values); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", query, err, want)
		}
	}
}

func TestAFilterMatchesSocketsToWhichAllOfItApplies(t *testing.T) {
	t.Parallel()
	now := time.Now()
	socket := session.Info{
		Subject: session.Subject{Ref: "5y9wf9nkmtdb0j4q", Endpoint: "chat", Classic: true, User: 7, IDs: []int64{7, 8}},
		Remote:  "[2001:db8::1]:443", Client: "Chrome 126 Android", State: "open", Opened: now.Add(-time.Hour),
		Idle: time.Minute, PingWait: 3 * time.Second, Queue: 3, Received: 2, Held: 4096,
	}
	for query, want := range map[string]bool{
		"": true, "user=7": true, "user=8": false, "room=7/8": true, "room=8_7": true, "room=location_7_8": true, "room=7/9": false,
		"ref=5y9wf9nkmtdb0j4q": true, "ref=5y9wf9nkmtdb0j4r": false, "endpoint=chat": true, "endpoint=inbox": false,
		"dialect=classic": true, "dialect=roomspa": false, "address=2001:db8::/32": true, "address=2001:db8::2": false, "address=10.0.0.0/8": false,
		"client=chrome": true, "client=okhttp": false, "state=closing": false, "min_age=1h": true, "min_age=61m": false,
		"min_idle=1m": true, "min_idle=61s": false, "min_rtt=3s": true, "min_rtt=4s": false, "min_queue=5": true, "min_queue=6": false,
		"min_held=4096": true, "min_held=4097": false, "user=7&min_queue=6": false,
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		q, err := ParseConnections(values)
		if err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		if got := q.Filter.matches(&socket, now); got != want {
			t.Errorf("%s matches: %v", query, got)
		}
	}
}

// FuzzFilter makes sure that a filter that is accepted means the same after its way to another
// replica, and as the parameters that a command sends.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{"user=7", "room=chat_1_2&min_age=90s", "address=203.0.113.7&client=a%20b", "address=fe80::1%25eth0", "replica=%00&limit=5", "min_rtt=1ns&state=open&ref=5y9wf9nkmtdb0j4q"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		q, err := ParseConnections(values)
		if err != nil {
			return
		}
		if q.Limit < 1 || q.Limit > MaxLimit || orders[q.Sort] == nil {
			t.Fatalf("accepted: %+v", q)
		}
		again, err := ParseConnections(q.Filter.Query())
		if err != nil {
			t.Fatalf("%q becomes %q: %v", query, q.Filter.Query().Encode(), err)
		}
		var sent Filter
		if err := json.Unmarshal(marshal(q.Filter), &sent); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsRune(query, '\ufffd') || strings.Contains(string(marshal(q.Filter)), `\ufffd`) {
			return // JSON replaces what is not UTF-8
		}
		if diff := cmp.Diff(q.Filter, again.Filter, byPrefix) + cmp.Diff(q.Filter, sent, byPrefix); diff != "" {
			t.Fatalf("%q:\n%s", query, diff)
		}
	})
}
