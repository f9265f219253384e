package app_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/story"
)

// TestEveryRefusalHasItsStoryOnTheOtherReplica takes the reference from what the client
// gets, and asks elsewhere.
func TestEveryRefusalHasItsStoryOnTheOtherReplica(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.pair(t)
	token := func(changed m) url.Values {
		return url.Values{"token": {forge(t, hs256, claims(changed), secret)}}
	}
	good := token(nil)
	for _, c := range []struct {
		path, reason, cause, step string
		query                     url.Values
		code                      int
	}{
		{"/ws/chat/1/2/", "token_missing", "token_missing", "token found", nil, 4001},
		{"/ws/chat/1/2/", "token_invalid", "malformed", "token decoded", url.Values{"token": {"x"}}, 4001},
		{"/ws/chat/1/2/", "token_expired", "token_expired", "token decoded", token(m{"exp": time.Now().Unix() - 60}), 4001},
		{"/ws/chat/1/2/", "user_unknown", "user_unknown", "user loaded", token(m{"user_id": nobody}), 4001},
		{"/ws/chat/1/2/", "user_inactive", "user_inactive", "user loaded", token(m{"user_id": inactive}), 4001},
		{"/ws/chat/3/2/", "not_your_room", "not_your_room", "authorized", good, 4003},
		{"/ws/chat/1/99/", "no_such_therapist", "no_such_therapist", "authorized", good, 4003},
		{"/ws/location/x/2/", "bad_id", "bad_id", "authorized", good, 4000},
		{"/ws/test/", "bad_close_code", "bad_close_code", "received", url.Values{"close": {"1"}}, 4000},
		{"/ws/test/", "bad_ping", "bad_ping", "received", url.Values{"ping": {"on"}}, 4000},
	} {
		s := a.connect(t, dial{path: c.path, query: c.query})
		ref := s.refusal(t, c.code, c.reason).Ref
		told := b.told(t, ref)
		got := told.Story
		if got.Replica != "a" || got.Reason != c.reason || got.Why() != c.cause || got.Code != c.code || told.Failed == nil || told.Failed.Name != c.step {
			t.Errorf("%s: told %+v, failed at %+v", c.reason, got, told.Failed)
		}
		if told.Advice == nil || told.Advice.Cause != c.cause || got.Steps[0].Name != story.Received || !strings.HasPrefix(got.Path, "/ws/") {
			t.Errorf("%s: advice %+v for %+v", c.reason, told.Advice, got)
		}
	}
	res, _ := a.raw(t, without(shake("/ws/chat/1/2/"), "Upgrade")...)
	if told := b.told(t, res.Header.Get("Roomspa-Ref")); told.Story.Status != 426 || told.Story.Reason != "upgrade_required" {
		t.Errorf("426: told %+v", told.Story)
	}
	var text bytes.Buffer
	ref := a.connect(t, dial{path: "/ws/chat/1/2/", query: token(m{"exp": time.Now().Unix() - 60})}).refusal(t, 4001, "token_expired").Ref
	if err := b.told(t, ref).Print(&text); err != nil || !strings.Contains(text.String(), "the 2nd token_expired since") {
		t.Errorf("the second one of a user is told as, %v:\n%s", err, text.String())
	}
	viaRedis, err := story.Explain(t.Context(), w.redis(t).Stories, ref)
	if err != nil || viaRedis.Story.Ref != ref {
		t.Errorf("through Redis: %+v, %v", viaRedis, err)
	}
}

// told asks the ops listener about a reference, for a second at most: a story may be on
// its way.
func (r *replica) told(t testing.TB, ref string) *story.Explanation {
	t.Helper()
	var told *story.Explanation
	eventually(t, busy(time.Second), "the story of "+ref+" is there", func() (bool, any) {
		var err error
		told, err = ops.Ask(t.Context(), r.OpsAddr(), ref)
		return err == nil, err
	})
	return told
}

func TestAStoryOfAnUnknownReference(t *testing.T) {
	t.Parallel()
	r := newWorld(t).ready(t, "a")
	for path, want := range map[string]int{story.NewRef(): 404, "x": 400, story.NewRef() + "/": 404, "": 404} {
		status, _, body := get(t, "http://"+r.OpsAddr()+"/debug/stories/"+path)
		var p struct{ Code, Detail string }
		if err := json.Unmarshal(body, &p); err != nil || status != want || p.Code == "" || p.Detail == "" {
			t.Errorf("%q answers %d %s", path, status, body)
		}
	}
}

// TestASocketThatIsCutHasAStory joins the end that the server saw to the one that the
// client tells of when it comes back.
func TestASocketThatIsCutHasAStory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := w.pair(t)
	s := a.chat(t, customer)
	ref := s.header.Get("Roomspa-Ref")
	_ = s.conn.CloseNow()
	a.disconnected(t, s)
	told := b.told(t, ref)
	if e := told.Story.End; e == nil || e.Code != 1006 || e.By != "network" || told.Story.User != int64(customer) || told.Advice.Cause != "abnormal" {
		t.Fatalf("told %+v", told.Story)
	}
	again := a.room(t, "/ws/chat/1/2/", customer, url.Values{"last_ref": {ref}, "last_code": {"1006"}})
	next := again.want(t, "connected").Ref
	eventually(t, busy(time.Second), "the return is joined to the end", func() (bool, any) {
		told := b.told(t, ref)
		return len(told.Story.Returns) == 1 && told.Story.Returns[0].Ref == next && told.Story.Returns[0].Code == "1006", told.Story
	})
	if line := a.text.about(next); !strings.Contains(line, "last_ref="+ref) || !strings.Contains(line, `last_seen="1006 abnormal by network after`) {
		t.Errorf("it is not logged:\n%s", line)
	}
}

func TestStoriesStayWithTheReplicaWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	w, redis := ownRedis(t)
	a := w.ready(t, "a")
	if err := redis.Kill(); err != nil {
		t.Fatal(err)
	}
	a.becomesUnready(t, patience, "redis")
	ref := a.room(t, "/ws/chat/1/2/", customer, nil).refusal(t, 1011, "channel_layer_unavailable").Ref
	told := a.told(t, ref)
	if told.Missing == "" || told.Story.Outcome != story.Failed || told.Failed.Name != "group joined" {
		t.Errorf("told %+v", told.Story)
	}
}
