package connect

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/tool/client"
)

// same compares lines, and says which differ.
func same(t *testing.T, want, got string) {
	t.Helper()
	if diff := cmp.Diff(strings.Split(strings.TrimSpace(want), "\n"), strings.Split(strings.TrimSpace(got), "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestAPipedChat(t *testing.T) {
	t.Parallel()
	url := serve(t, func(s *side) {
		s.connected(11)
		s.say(`{"type":"chat_message","seq":12,"sender_id":2,"sender_role":"therapist","message":"two\nlines \u001b[2J","timestamp":"%s"}`, stamp)
		s.storeAll(12)
	})
	got, err := talked(t, Options{}, url+"/ws/chat/1/2/?token=secret", "hello\n\n//slash")
	if err != nil {
		t.Error(err)
	}
	same(t, `
connecting to ws://host/ws/chat/1/2/
connected  ref ref1  conversation conv  last message #11
#12 therapist 2 · 14:03:22  two
    lines \x1b[2J
  ✓ #13
#13 customer 1 (you) · 14:03:22  hello
  ✓ #14
#14 customer 1 (you) · 14:03:22  /slash`, got)
}

func TestTypesAreShown(t *testing.T) {
	t.Parallel()
	url := serve(t, func(s *side) {
		s.connected(11)
		s.say(`{"type":"chat_message","seq":12,"sender_id":2,"sender_role":"therapist","message":"hi","message_type":"text","timestamp":"%s"}`, stamp)
		s.say(`{"type":"chat_message","seq":13,"sender_id":2,"sender_role":"therapist","message":"a photo","message_type":"image","metadata":{"width":800,"alt":"\u202egpj"},"timestamp":"%s"}`, stamp)
		s.say(`{"type":"chat_message","seq":14,"sender_id":0,"sender_role":"support","message":"The booking was cancelled.","message_type":"system","timestamp":"%s"}`, stamp)
		s.say(`{"type":"ack","client_message_id":"m-1","seq":12,"duplicate":true,"differs":true}`)
		s.say(`{"type":"ack","client_message_id":"m-1","seq":12,"duplicate":true}`)
		s.storeAll(14)
	})
	got, err := talked(t, Options{}, url+"/ws/chat/1/2/?token=secret", "hello\n")
	if err != nil {
		t.Error(err)
	}
	same(t, `
connecting to ws://host/ws/chat/1/2/
connected  ref ref1  conversation conv  last message #11
#12 therapist 2 · 14:03:22  hi
#13 therapist 2 · 14:03:22  [image] a photo  {"width":800,"alt":"\u202egpj"}
#14 operator · 14:03:22  [system] The booking was cancelled.
  ✓ #12 (already stored, with other content)
  ✓ #12 (already stored)
  ✓ #15
#15 customer 1 (you) · 14:03:22  hello`, got)
}

func TestItComesBackWhenItWasAskedTo(t *testing.T) {
	t.Parallel()
	url := serve(t, func(s *side) {
		if s.n == 1 {
			s.connected(11)
			s.hear()
			s.say(`{"type":"reconnect","after_ms":10,"reason":"restart"}`)
			_ = s.ws.Close(1012, "restart ref=ref1")
			return
		}
		s.connected(12)
		s.say(`{"type":"chat_message","seq":12,"sender_id":2,"sender_role":"therapist","message":"missed","timestamp":"%s"}`, stamp)
		s.say(`{"type":"resumed","from_seq":12,"to_seq":12}`)
		s.storeAll(12)
	})
	got, err := talked(t, Options{}, url+"/ws/chat/1/2/", "hello\n")
	if err != nil {
		t.Error(err)
	}
	same(t, `
connecting to ws://host/ws/chat/1/2/
connected  ref ref1  conversation conv  last message #11
  the server asks to reconnect in 0.0 s (restart)
closed 1012 restart (ref ref1): The replica is shutting down. Trying again in 0.0 s, resuming after #11.
connecting to ws://host/ws/chat/1/2/, resuming after #11
connected  ref ref2  conversation conv  last message #12
#12 therapist 2 · 14:03:22  missed
resumed  missed message #12 is shown above
  ✓ #13
#13 customer 1 (you) · 14:03:22  hello`, got)
}

func TestARefusalIsToldInWords(t *testing.T) {
	t.Parallel()
	url := serve(t, func(s *side) {
		s.say(`{"type":"error","code":"not_your_room","detail":"customer 1 may not enter as customer 3","ref":"ref1","close":4003}`)
		_ = s.ws.Close(4003, "not_your_room ref=ref1")
	})
	got, err := talked(t, Options{}, url+"/ws/chat/3/2/", "hello\n")
	same(t, `
connecting to ws://host/ws/chat/3/2/
! not_your_room: customer 1 may not enter as customer 3`, got)
	want := "closed 4003 not_your_room (ref ref1): The room belongs to other users. customer 1 may not enter as customer 3. Do not retry. Fix the request."
	if err == nil || err.Error() != want {
		t.Errorf("ended with %v\nwant %s", err, want)
	}
}

func TestOneSocketOnly(t *testing.T) {
	t.Parallel()
	url := serve(t, func(s *side) { s.connected(0); s.hear() })
	_, err := talked(t, Options{Session: client.SessionOptions{Once: true}}, url+"/ws/chat/1/2/", "hello\n")
	if closed, ok := errors.AsType[*client.CloseError](err); !ok || closed.Code != client.CodeAbnormal {
		t.Errorf("ended with %v, want 1006", err)
	}
}

func TestFramesAreShown(t *testing.T) {
	t.Parallel()
	url := serve(t, func(s *side) {
		s.say(`{"type":"connected","last_seq":0,"peer":{"id":2,"online":false,"last_seen":"%s"}}`, stamp)
		if f, _ := s.hear(); string(f.Raw) != `{"type":"history","limit":3}` {
			t.Errorf("heard %s", f.Raw)
		}
		for _, frame := range []string{
			`{"type":"typing","user_id":2,"is_typing":true}`,
			`{"type":"presence","user_id":2,"online":true}`,
			`{"type":"read","user_id":2,"seq":4}`,
			`{"type":"error","code":"rate_limited","detail":"slower","field":"x","ref":"r"}`,
			`{"type":"of a later version","x":1}`,
			`{"type":"history","messages":[{"seq":1,"sender_id":2,"sender_role":"therapist","message":"old","timestamp":"` + stamp + `"}],"has_more":true}`,
		} {
			s.say("%s", frame)
		}
		s.say(`{"type":"history","messages":[],"has_more":false}`)
		s.untilClosed()
	})
	got, err := talked(t, Options{}, url+"/ws/chat/1/2/", "/history 3\n{}\n{}\n/history 0\n")
	if err == nil {
		t.Error("a line could not be sent, and nothing says so")
	}
	lines := strings.SplitAfter(got, "\n")
	same(t, `
connecting to ws://host/ws/chat/1/2/
connected  ref ref1  last message #0  0 unread  user 2 is offline, last seen 14:03:22, has received nothing yet
  user 2 is typing …
  user 2 is online
  ✓✓ read up to #4 by user 2
! rate_limited: slower (field x) (ref r)
  {"type":"of a later version","x":1}
  history: 1 message, there are earlier ones
  #1 therapist 2 · 14:03:22  old
  history: 0 messages, no earlier ones`, strings.Join(append(lines[:0:0], without(lines, "! /history")...), ""))
}

func without(lines []string, prefix string) (kept []string) {
	for _, line := range lines {
		if !strings.HasPrefix(line, prefix) {
			kept = append(kept, line)
		}
	}
	return kept
}

func TestPositions(t *testing.T) {
	t.Parallel()
	url := serve(t, func(s *side) {
		s.say(`{"type":"connected"}`)
		for f, ok := s.hear(); ok; f, ok = s.hear() {
			s.say(`{"type":"location_update","user_id":1,"role":"customer","latitude":%v,"longitude":%v,"accuracy":5,"timestamp":"%s"}`, *f.Latitude, *f.Longitude, stamp)
		}
	})
	got, err := talked(t, Options{}, url+"/ws/location/1/2/", "13.7563, 100.5018\n-1,2\n")
	if err != nil {
		t.Error(err)
	}
	same(t, `
connecting to ws://host/ws/location/1/2/
connected  ref ref1
customer 1 (you) · 14:03:22  13.756300, 100.501800  ±5 m
customer 1 (you) · 14:03:22  -1.000000, 2.000000  ±5 m`, got)
	if _, err := talked(t, Options{}, url+"/ws/location/1/2/", "91,0\nhere\n"); err == nil {
		t.Error("two lines were no positions, and nothing says so")
	}
}

func TestTheEchoEndpoint(t *testing.T) {
	t.Parallel()
	url := serve(t, func(s *side) {
		_ = s.ws.Write(t.Context(), websocket.MessageBinary, []byte{0, 255})
		for f, ok := s.hear(); ok; f, ok = s.hear() {
			s.say("%s", f.Raw)
		}
	})
	got, err := talked(t, Options{}, url+"/ws/test/?greet=1", "hi\n{\"a\":1}\n")
	if err != nil {
		t.Error(err)
	}
	same(t, `
connecting to ws://host/ws/test/
connected  ref ref1
binary, 2 bytes: 00ff
hi
{"a":1}`, got)
}

// entries decodes what --json wrote.
func entries(t *testing.T, out string) (all []entry, events []string) {
	t.Helper()
	for line := range strings.Lines(out) {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		all, events = append(all, e), append(events, e.Event)
	}
	return all, events
}

func TestJSONLines(t *testing.T) {
	t.Parallel()
	url := serve(t, func(s *side) { s.connected(0); s.storeAll(0) })
	got, err := talked(t, Options{JSON: true}, url+"/ws/chat/1/2/", "hello\n")
	if err != nil {
		t.Error(err)
	}
	if _, events := entries(t, got); strings.Join(events, " ") != "connecting connected frame frame" {
		t.Errorf("events %v", events)
	}
	url = serve(t, func(s *side) { _ = s.ws.Close(4003, "not_your_room ref=ref1") })
	got, err = talked(t, Options{JSON: true}, url+"/ws/chat/1/2/", "hello\n")
	if err == nil {
		t.Error("a refusal is no error")
	}
	all, events := entries(t, got)
	if strings.Join(events, " ") != "connecting gave_up" {
		t.Fatalf("events %v", events)
	}
	if e := all[1]; e.Code != 4003 || e.Reason != "not_your_room" || e.Ref != "ref1" || e.Means == "" || e.Next == "" {
		t.Errorf("gave up: %+v", e)
	}
}

func TestWhatWasNotAcknowledgedIsAFailure(t *testing.T) {
	t.Parallel()
	url := serve(t, func(s *side) { s.connected(0); s.untilClosed() })
	got, err := talked(t, Options{}, url+"/ws/chat/1/2/", "hello\n/close 3000\n")
	if err == nil || !strings.Contains(err.Error(), "1 message had no acknowledgement") {
		t.Errorf("ended with %v after\n%s", err, got)
	}
}

func TestColours(t *testing.T) {
	t.Parallel()
	url := serve(t, func(s *side) { s.connected(0); s.storeAll(0) })
	got, err := talked(t, Options{Color: true}, url+"/ws/chat/1/2/", "hello\n")
	if want := "\x1b[1m#1\x1b[0m \x1b[32mcustomer 1 (you)\x1b[0m\x1b[2m · 14:03:22\x1b[0m  hello\n"; err != nil || !strings.Contains(got, want) {
		t.Errorf("%v, %q", err, got)
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain ünï 😀":   "plain ünï 😀",
		"a\x1b]0;x\x07": `a\x1b]0;x\a`,
		"a\u202eb":      `a\u202eb`,
		"a\u009bb":      `a\u009bb`,
		"a\tb\r":        `a b\r`,
	} {
		if got := printable(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}
