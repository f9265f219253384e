package connect

import (
	"io"
	"strings"
	"testing"
)

// stateful is a connected frame of a server that keeps the state of conversations.
const stateful = `{"type":"connected","ref":"ref%d","conversation_id":"conv","first_seq":1,"last_seq":%d,"delivered_seq":%d,"read_seq":1,"unread":2,
	"peer":{"id":2,"online":true,"delivered_seq":3,"read_seq":2}}`

func TestTheStateOfTheConversationIsShown(t *testing.T) {
	t.Parallel()
	url := serve(t, func(s *side) {
		s.say(stateful, s.n, 4, 4)
		if f, _ := s.hear(); string(f.Raw) != `{"type":"history","limit":4}` {
			t.Errorf("heard %s", f.Raw)
		}
		s.say(`{"type":"history","messages":[
			{"seq":2,"sender_id":1,"sender_role":"customer","message":"two","timestamp":"%[1]s"},
			{"seq":3,"sender_id":1,"sender_role":"customer","message":"three","timestamp":"%[1]s"},
			{"seq":4,"sender_id":1,"sender_role":"customer","message":"four","timestamp":"%[1]s"}]}`, stamp)
		for _, frame := range []string{
			`{"type":"delivered","user_id":2,"seq":4}`, `{"type":"read","user_id":2,"seq":3}`, `{"type":"read","user_id":1,"seq":4}`,
		} {
			s.say("%s", frame)
		}
		s.untilClosed()
	})
	got, err := talked(t, Options{}, url+"/ws/chat/1/2/", "/history 4\n")
	if err != nil {
		t.Error(err)
	}
	shown, _, _ := strings.Cut(got, "  ✓✓ delivered up to") // the session may end before the rest
	same(t, `
connecting to ws://host/ws/chat/1/2/
connected  ref ref1  conversation conv  last message #4  2 unread  user 2 is online, has received up to #3, read up to #2
  history: 3 messages, no earlier ones
  #2 customer 1 (you) · 14:03:22  two  ✓✓ read
  #3 customer 1 (you) · 14:03:22  three  ✓✓ delivered
  #4 customer 1 (you) · 14:03:22  four  ✓`, shown)
}

func TestReceiptsAndTypingAreSent(t *testing.T) {
	t.Parallel()
	heard := make(chan string, 10)
	url := serve(t, func(s *side) {
		s.say(stateful, s.n, 4, 4)
		s.say(`{"type":"chat_message","seq":5,"sender_id":2,"sender_role":"therapist","message":"five","timestamp":"%s"}`, stamp)
		f, _ := s.hear() // of what was shown, without a command
		heard <- string(f.Raw)
		s.say(`{"type":"read","user_id":2,"seq":4}`)
		s.say(`{"type":"read","user_id":1,"seq":5}`)
		for range 4 {
			f, _ := s.hear()
			heard <- string(f.Raw)
		}
		s.say(`{"type":"pong"}`)
		s.untilClosed()
	})
	in, feed := io.Pipe()
	done := make(chan string)
	go func() {
		got, err := talked(t, Options{In: in}, url+"/ws/chat/1/2/", "")
		if err == nil {
			t.Error("a line could not be sent, and nothing says so")
		}
		done <- got
	}()
	if got := <-heard; got != `{"type":"delivered","seq":5}` {
		t.Errorf("heard %s", got)
	}
	_, _ = io.WriteString(feed, "/typing\n/typing off\n/read\n/typing maybe\n/ping\n")
	for _, want := range []string{`{"type":"typing","is_typing":true}`, `{"type":"typing","is_typing":false}`, `{"type":"read","seq":5}`, `{"type":"ping"}`} {
		if got := <-heard; got != want {
			t.Errorf("heard %s, want %s", got, want)
		}
	}
	_ = feed.Close()
	got := <-done
	for _, want := range []string{"  ✓✓ read up to #4 by user 2\n", "  you: read up to #5\n", "! /typing takes on, off or nothing\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
}

func TestASupportUserSendsNoReceipts(t *testing.T) {
	t.Parallel()
	url := serve(t, func(s *side) {
		s.connected(4)
		s.say(`{"type":"chat_message","seq":5,"sender_id":2,"sender_role":"therapist","message":"five","timestamp":"%s"}`, stamp)
		if f, _ := s.hear(); string(f.Raw) != `{"type":"ping"}` {
			t.Errorf("heard %s", f.Raw)
		}
		s.say(`{"type":"pong"}`)
		if f, ok := s.hear(); ok {
			t.Errorf("heard %s", f.Raw)
		}
	})
	if _, err := talked(t, Options{}, url+"/ws/chat/1/2/", "/ping\n"); err != nil {
		t.Error(err)
	}
}
