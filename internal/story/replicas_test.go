package story_test

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/ops"
	"github.com/roomspa/roomspa/internal/story"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestEveryRefusalHasItsStoryOnTheOtherReplica takes the reference from what the client
// gets, and asks elsewhere.
func TestEveryRefusalHasItsStoryOnTheOtherReplica(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t)
	token := func(changed m) url.Values {
		return url.Values{"token": {world.Sign(t, changed)}}
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
		{"/ws/chat/1/2/", "user_unknown", "user_unknown", "user loaded", token(m{"user_id": world.Nobody}), 4001},
		{"/ws/chat/1/2/", "user_inactive", "user_inactive", "user loaded", token(m{"user_id": world.Inactive}), 4001},
		{"/ws/chat/3/2/", "not_your_room", "not_your_room", "authorized", good, 4003},
		{"/ws/chat/1/99/", "no_such_therapist", "no_such_therapist", "authorized", good, 4003},
		{"/ws/location/x/2/", "bad_id", "bad_id", "authorized", good, 4000},
		{"/ws/test/", "bad_close_code", "bad_close_code", "received", url.Values{"close": {"1"}}, 4000},
		{"/ws/test/", "bad_ping", "bad_ping", "received", url.Values{"ping": {"on"}}, 4000},
	} {
		s := a.Connect(t, world.Handshake{Path: c.path, Query: c.query})
		ref := s.ExpectRefusal(t, c.code, c.reason).Ref
		told := waitStory(t, b, ref)
		got := told.Story
		if got.Replica != "a" || got.Reason != c.reason || got.Why() != c.cause || got.Code != c.code || told.Failed == nil || told.Failed.Name != c.step {
			t.Errorf("%s: told %+v, failed at %+v", c.reason, got, told.Failed)
		}
		if told.Advice == nil || told.Advice.Cause != c.cause || got.Steps[0].Name != story.Received || !strings.HasPrefix(got.Path, "/ws/") {
			t.Errorf("%s: advice %+v for %+v", c.reason, told.Advice, got)
		}
	}
	res, _ := a.Raw(t, world.Without(world.Upgrade("/ws/chat/1/2/"), "Upgrade")...)
	if told := waitStory(t, b, res.Header.Get("Roomspa-Ref")); told.Story.Status != 426 || told.Story.Reason != "upgrade_required" {
		t.Errorf("426: told %+v", told.Story)
	}
	var text bytes.Buffer
	ref := a.Connect(t, world.Handshake{Path: "/ws/chat/1/2/", Query: token(m{"exp": time.Now().Unix() - 60})}).ExpectRefusal(t, 4001, "token_expired").Ref
	if err := waitStory(t, b, ref).Print(&text); err != nil || !strings.Contains(text.String(), "the 2nd token_expired since") {
		t.Errorf("the second one of a user is told as, %v:\n%s", err, text.String())
	}
	viaRedis, err := story.Explain(t.Context(), w.OpenRedis(t).Stories, ref)
	if err != nil || viaRedis.Story.Ref != ref {
		t.Errorf("through Redis: %+v, %v", viaRedis, err)
	}
}

// waitStory asks a replica's ops listener for a story, which may be on its way.
func waitStory(t testing.TB, r *world.Replica, ref string) *story.Explanation {
	t.Helper()
	var told *story.Explanation
	world.Eventually(t, "the story of "+ref+" is there", func() (bool, any) {
		var err error
		told, err = ops.Ask(t.Context(), r.OpsAddr(), "", ref)
		return err == nil, err
	})
	return told
}

func TestAStoryOfAnUnknownReference(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a")
	for path, want := range map[string]int{story.NewRef(): 404, "x": 400, story.NewRef() + "/": 404, "": 404} {
		status, _, body := world.Get(t, r.Ops("/debug/stories/"+path))
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
	w := world.New(t)
	a, b := w.Pair(t)
	s := a.Chat(t, world.Customer)
	ref := s.Ref()
	_ = s.Conn.CloseNow()
	if a.WaitDisconnected(t, s); !strings.Contains(a.Log.About(ref), " idle=") {
		t.Errorf("the log does not say how long it was silent:\n%s", a.Log.About(ref))
	}
	told := waitStory(t, b, ref)
	if e := told.Story.End; e == nil || e.Code != 1006 || e.By != "network" || told.Story.User != int64(world.Customer) || told.Advice.Cause != "abnormal" ||
		!e.Cut || told.Story.Path != "/ws/chat/1/2/" {
		t.Fatalf("told %+v", told.Story)
	}
	test := a.Connect(t, world.Handshake{Path: "/ws/test/"})
	_ = test.Conn.CloseNow()
	a.WaitDisconnected(t, test)
	if told := waitStory(t, b, test.Ref()); told.Story.Path != "/ws/test/" {
		t.Errorf("told %+v", told.Story)
	}
	again := a.ConnectAs(t, world.Customer, "/ws/chat/1/2/", url.Values{"last_ref": {ref}, "last_code": {"1006"}})
	next := again.Expect(t, "connected").Ref
	world.Eventually(t, "the return is joined to the end", func() (bool, any) {
		told := waitStory(t, b, ref)
		return len(told.Story.Returns) == 1 && told.Story.Returns[0].Ref == next && told.Story.Returns[0].Code == "1006", told.Story
	})
	if line := a.Log.About(next); !strings.Contains(line, "last_ref="+ref) || !strings.Contains(line, `last_seen="1006 abnormal by network after`) {
		t.Errorf("it is not logged:\n%s", line)
	}
}

func TestASilentConnectionThatWasCutIsAskedForOthers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end    story.End
		silent bool
	}{
		"cut while silent":   {story.End{Idle: 15120 * time.Millisecond, Cut: true}, true},
		"cut in use":         {story.End{Idle: 3 * time.Second, Cut: true}, false},
		"silent as it asked": {story.End{Idle: time.Minute}, false},
	} {
		c.end.Code, c.end.Reason, c.end.By = 1006, "abnormal", "network"
		s := &story.Story{Version: story.Version, Ref: story.NewRef(), End: &c.end}
		told, err := story.Explain(t.Context(), &shelf{stories: []*story.Story{s}}, s.Ref)
		if err != nil {
			t.Fatal(err)
		}
		says := strings.Contains(told.Advice.Cure, "It had been silent for about 15s: test with roomspa diagnose URL --idle 90s")
		if says != c.silent || told.Advice.Cause != "abnormal" {
			t.Errorf("%s: %+v", name, told.Advice)
		}
	}
}

func TestStoriesStayWithTheReplicaWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.OwnRedis)
	a := w.Ready(t, "a")
	if err := w.Redis.Kill(); err != nil {
		t.Fatal(err)
	}
	a.WaitUnready(t, "redis")
	ref := a.ConnectAs(t, world.Customer, "/ws/chat/1/2/", nil).ExpectRefusal(t, 1011, "channel_layer_unavailable").Ref
	told := waitStory(t, a, ref)
	if told.Missing == "" || told.Story.Outcome != story.Failed || told.Failed.Name != "group joined" {
		t.Errorf("told %+v", told.Story)
	}
}
