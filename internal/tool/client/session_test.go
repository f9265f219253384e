package client

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

const chatPath = "/ws/chat/1/2/"

// bubble runs a test in fake time.
func bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, f)
}

func TestSessionResumesWhereItsSocketWasCut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		queries := make(chan string, 2)
		s := start(t, SessionOptions{Socket: servePipe(t, chatPath, func(s *side) {
			queries <- s.r.URL.RawQuery
			s.connected(10)
			s.message(11)
			s.message(12)
			s.cut()
		}, func(s *side) {
			queries <- s.r.URL.RawQuery
			s.connected(13)
			s.message(12) // once more, as a careless server might
			s.message(13)
			s.say(`{"type":"resumed","from_seq":13,"to_seq":13}`)
			s.message(14)
			s.untilClosed()
		})})
		for _, want := range []int64{11, 12, 13, 14} {
			if f := s.frame("chat_message"); f.Seq != want {
				t.Errorf("message %d, want %d", f.Seq, want)
			}
		}
		if first, second := <-queries, <-queries; first != "v=1" || second != "id=m12&last_code=1006&last_ref=ref1&since=12&v=1" {
			t.Errorf("queries %q and %q", first, second)
		}
		if n := len(s.recorded(RecordDuplicate)); n != 1 {
			t.Errorf("%d duplicates recorded, want 1", n)
		}
	})
}

func TestSessionResumesFromConnectedsLastSeqWhereNothingCame(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := start(t, SessionOptions{Socket: servePipe(t, chatPath,
			func(s *side) { s.cut() }, // before connected: there is nothing to resume from
			func(s *side) {
				if s.r.URL.Query().Has("since") {
					t.Error("since was sent before a first connection")
				}
				s.connected(7)
				s.cut()
			},
			func(s *side) {
				if s.r.URL.Query().Has("id") {
					t.Error("an id was sent without a message")
				}
				s.connected(7)
				s.untilClosed()
			})})
		s.next(Connected)
		s.next(Closed)
		if e := s.next(Connecting); e.Since == nil || *e.Since != 7 {
			t.Errorf("since %v, want 7", e.Since)
		}
		s.next(Connected)
	})
}

func TestSessionAsksAgainForAGap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := start(t, SessionOptions{Socket: servePipe(t, chatPath, func(s *side) {
			s.connected(1)
			s.message(2)
			s.message(4)
			s.untilClosed()
		}, func(s *side) {
			s.connected(4)
			s.message(3)
			s.message(4)
			s.say(`{"type":"resumed","from_seq":3,"to_seq":4}`)
			s.untilClosed()
		})})
		for _, want := range []int64{2, 3, 4} {
			if f := s.frame("chat_message"); f.Seq != want {
				t.Errorf("message %d, want %d", f.Seq, want)
			}
		}
		s.next(Resumed)
		gaps := s.recorded(RecordGap)
		if len(gaps) != 1 || gaps[0].Expected != 3 || gaps[0].Seq != 4 || gaps[0].Ref != "ref1" {
			t.Errorf("gaps %+v", gaps)
		}
	})
}

func TestSessionSeesAGapBeforeResumed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		since := int64(4)
		s := start(t, SessionOptions{Since: &since, Socket: servePipe(t, chatPath, func(s *side) {
			s.connected(6)
			s.message(5)
			s.say(`{"type":"resumed","from_seq":5,"to_seq":6}`)
			s.untilClosed()
		})})
		if gap, ok := errors.AsType[*GapError](s.next(Closed).Err); !ok || gap.Expected != 6 {
			t.Errorf("gap %v, want one at 6", gap)
		}
	})
}

// TestSessionGoesOnBehindDeletedMessages resumes from before the oldest message there is.
func TestSessionGoesOnBehindDeletedMessages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		since := int64(2)
		s := start(t, SessionOptions{Since: &since, Socket: servePipe(t, chatPath, func(s *side) {
			s.say(`{"type":"connected","ref":%q,"first_seq":5,"last_seq":6}`, s.ref())
			s.message(5)
			s.message(6)
			s.say(`{"type":"resumed","from_seq":5,"to_seq":6,"first_seq":5,"last_seq":6}`)
			s.untilClosed()
		})})
		for _, want := range []int64{5, 6} {
			if f := s.frame("chat_message"); f.Seq != want {
				t.Errorf("message %d, want %d", f.Seq, want)
			}
		}
		s.next(Resumed)
		if gaps := s.recorded(RecordGap); len(gaps) > 0 {
			t.Errorf("gaps %+v", gaps)
		}
	})
}

func TestSessionGoesBackWhereTheServerLostMessages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		since := int64(41)
		s := start(t, SessionOptions{Since: &since, Socket: servePipe(t, chatPath, func(s *side) {
			s.connected(30)
			s.say(`{"type":"resumed","from_seq":42,"to_seq":30,"reset":true}`)
			s.message(31)
			s.untilClosed()
		})})
		if e := s.next(Resumed); !e.Frame.Reset || e.Frame.ToSeq != 30 {
			t.Errorf("resumed %+v", e.Frame)
		}
		if f := s.frame("chat_message"); f.Seq != 31 {
			t.Errorf("message %d, want 31", f.Seq)
		}
	})
}

func TestSessionGoesOnFromAResetInTheMiddle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		queries := make(chan string, 1)
		s := start(t, SessionOptions{Socket: servePipe(t, chatPath, func(s *side) {
			s.connected(40)
			s.message(41)
			s.say(`{"type":"resumed","from_seq":31,"to_seq":30,"last_seq":30,"reset":true}`)
			s.cut()
		}, func(s *side) {
			queries <- s.r.URL.Query().Get("since") + s.r.URL.Query().Get("id")
			s.connected(30)
			s.say(`{"type":"resumed","from_seq":31,"to_seq":30,"last_seq":30}`)
			if f := s.hear(); f.ClientMessageID != "a" {
				t.Errorf("heard %s", f.Raw)
			}
			s.message(31)
			s.message(31) // of the same timeline: a duplicate
			s.untilClosed()
		})})
		if f := s.frame("chat_message"); f.Seq != 41 {
			t.Errorf("message %d, want 41", f.Seq)
		}
		if e := s.next(Resumed); !e.Frame.Reset {
			t.Errorf("resumed %+v", e.Frame)
		}
		if _, err := s.SendMessage("hi", "a"); err != nil {
			t.Fatal(err)
		}
		if query := <-queries; query != "30" {
			t.Errorf("resumed after %q, want 30 without an id", query)
		}
		if f := s.frame("chat_message"); f.Seq != 31 {
			t.Errorf("message %d, want 31", f.Seq)
		}
		synctest.Wait()
		if n := len(s.recorded(RecordDuplicate)); n != 1 {
			t.Errorf("%d duplicates recorded, want 1", n)
		}
		if resets := s.recorded(RecordResumed); len(resets) != 2 || !resets[0].Frame.Reset || resets[0].Seq != 30 || resets[0].Ref != "ref1" {
			t.Errorf("recorded %+v", resets)
		}
	})
}

func TestSessionSendsAgainWhatWasNotAcknowledged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		heard := make(chan string, 10)
		s := start(t, SessionOptions{Socket: servePipe(t, chatPath, func(s *side) {
			s.connected(0)
			s.ack(s.hear().ClientMessageID, 1)
			s.hear()
			s.hear()
			s.cut()
		}, func(s *side) {
			s.connected(3)
			for seq := 2; seq <= 4; seq++ {
				f := s.hear()
				heard <- f.ClientMessageID + " " + f.Message
				s.ack(f.ClientMessageID, seq)
			}
			s.untilClosed()
		})})
		for i := range 3 {
			if _, err := s.SendMessage(fmt.Sprint("text ", i), fmt.Sprint("id", i)); err != nil {
				t.Fatal(err)
			}
		}
		s.next(Closed)
		random, err := s.SendMessage("text 3", "")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Await(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"id1 text 1", "id2 text 2", random + " text 3"} {
			if got := <-heard; got != want {
				t.Errorf("the server heard %q, want %q", got, want)
			}
		}
		if sent, acked := len(s.recorded(RecordSent)), len(s.recorded(RecordAcknowledged)); sent != 6 || acked != 4 {
			t.Errorf("%d sent and %d acknowledged, want 6 and 4", sent, acked)
		}
	})
}

func TestSessionSendsLaterWhatWasRefusedForATimeAndDropsWhatWasRefusedForGood(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := start(t, SessionOptions{Socket: servePipe(t, chatPath, func(s *side) {
			s.connected(0)
			for tries := map[string]int{}; tries["a"] < 2 || tries["b"] < 1; {
				id := s.hear().ClientMessageID
				switch tries[id]++; {
				case id == "b":
					s.say(`{"type":"error","code":"too_long","detail":"more than 4000","client_message_id":"b"}`)
				case tries[id] == 1:
					s.say(`{"type":"error","code":"database_unavailable","client_message_id":"a"}`)
				default:
					s.ack(id, 1)
				}
			}
			s.untilClosed()
		})})
		for _, id := range []string{"a", "b"} {
			if _, err := s.SendMessage("text of "+id, id); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		if e := s.next(Dropped); e.Message != "text of b" {
			t.Errorf("dropped %q", e.Message)
		}
		if err := s.Await(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if acked := s.recorded(RecordAcknowledged); len(acked) != 1 || acked[0].ClientMessageID != "a" {
			t.Errorf("acknowledged %+v, want a", acked)
		}
		if waited := time.Since(began); waited < time.Second/2 {
			t.Errorf("sent again after %s", waited)
		}
	})
}

func TestSessionBoundsWhatIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	s := NewSession(SessionOptions{Socket: Options{URL: "ws://nowhere/ws/chat/1/2/"}, MaxUnacknowledged: 2})
	for i := range 3 {
		_, err := s.SendMessage("text", "")
		if full := errors.Is(err, ErrFull); full != (i == 2) {
			t.Errorf("message %d: %v", i, err)
		}
	}
}

func TestSessionKeepsBelowTheServersRate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := start(t, SessionOptions{Rate: 10, Socket: servePipe(t, chatPath, func(s *side) {
			s.connected(0)
			for seq := 1; seq <= 50; seq++ {
				s.ack(s.hear().ClientMessageID, seq)
			}
			s.untilClosed()
		})})
		s.next(Connected)
		began := time.Now()
		for range 50 {
			if _, err := s.SendMessage("text", ""); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Await(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 2900*time.Millisecond || took > 3100*time.Millisecond {
			t.Errorf("50 messages at 10/s with a burst of 20 took %s, want 3s", took)
		}
	})
}

func TestSessionSendsOnlyTheNewestPosition(t *testing.T) {
	bubble(t, func(t *testing.T) {
		latitudes := make(chan float64, 2)
		s := start(t, SessionOptions{Socket: servePipe(t, "/ws/location/1/2/", func(s *side) {
			if s.r.URL.RawQuery != "v=1" {
				t.Errorf("query %q, want v=1", s.r.URL.RawQuery)
			}
			s.say(`{"type":"connected","ref":"r"}`)
			latitudes <- *s.hear().Latitude
			s.untilClosed()
		})})
		for latitude := range 5 {
			if err := s.SendPosition(NewPosition(float64(latitude), 100)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Await(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		if got := <-latitudes; got != 4 {
			t.Errorf("latitude %v, want the newest, 4", got)
		}
	})
}

func TestSessionGivesItsSocketAFreshTokenBeforeTheOldOneExpires(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := servePipe(t, chatPath, func(s *side) {
			s.connected(0)
			s.say(`{"type":"token_expiring"}`)
			if got := string(s.hear().Raw); got != `{"type":"auth","token":"token 2"}` {
				t.Errorf("heard %s", got)
			}
			s.bye(1000, "bye")
		})
		s := start(t, SessionOptions{Socket: o, TokenSource: renewingToken(counting(300))})
		s.next(GaveUp)
	})
}

func TestSessionClosesWithTheHandshake(t *testing.T) {
	bubble(t, func(t *testing.T) {
		code := make(chan int, 1)
		s := start(t, SessionOptions{Socket: servePipe(t, chatPath, func(s *side) {
			s.connected(0)
			code <- int(s.untilClosed())
		})})
		s.next(Connected)
		s.Close(3001, "enough")
		<-s.Done()
		if got := <-code; got != 3001 {
			t.Errorf("the server saw %d, want 3001", got)
		}
		if _, err := s.SendMessage("late", ""); !errors.Is(err, errEnded) {
			t.Errorf("a send after the end: %v", err)
		}
	})
}

func TestPositionsLeaveOutWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	p := NewPosition(13.75, 100.5)
	if got := string(encodePosition(p)); got != `{"latitude":13.75,"longitude":100.5}` {
		t.Error(got)
	}
	p = room.Position{RecordedAt: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC)}
	if got := string(encodePosition(p)); got != `{"latitude":0,"longitude":0,"accuracy":0,"heading":0,"speed":0,"recorded_at":"2026-01-02T03:04:05.006Z"}` {
		t.Error(got)
	}
}
