package postgres_test

import (
	"fmt"
	"testing"

	"github.com/roomspa/roomspa/internal/postgres"
)

// TestALossBetweenTwoHeartbeatsIsNoticedUnderTraffic loses some messages that were stored
// since the last heartbeat. Many others are stored before the next one.
func TestALossBetweenTwoHeartbeatsIsNoticedUnderTraffic(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ lost, after int }{"few": {4, 20}, "more than are kept": {40, 2100}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := database(t)
			conn := direct(t, target)
			replica := members(t, postgres.Options{URL: target}, 1)[0]
			first := replica.beat(t)
			one, other := conversation(t, replica.DB, 1), conversation(t, replica.DB, 2)
			for i := range 20 {
				send(t, replica.DB, other, says("kept", fmt.Sprint("before-", i)))
			}
			if d := replica.beat(t); d.Timeline != first.Timeline {
				t.Fatalf("timeline %d", d.Timeline)
			}
			for i := range c.lost {
				send(t, replica.DB, one, says("lost", fmt.Sprint("lost-", i)))
			}
			execute(t, conn, "DELETE FROM roomspa.messages WHERE conversation_id = $1", one)
			for i := range c.after {
				send(t, replica.DB, other, says("kept", fmt.Sprint("after-", i)))
			}
			if d := replica.beat(t); d.Timeline != first.Timeline+1 {
				t.Errorf("timeline %d after the loss", d.Timeline)
			}
			if d := replica.beat(t); d.Timeline != first.Timeline+1 {
				t.Errorf("timeline %d afterwards", d.Timeline)
			}
		})
	}
}

func TestANumberThatComesAgainIsSuspicious(t *testing.T) {
	t.Parallel()
	target := database(t)
	conn := direct(t, target)
	replica := members(t, postgres.Options{URL: target}, 1)[0]
	replica.beat(t)
	c, other := conversation(t, replica.DB, 1), conversation(t, replica.DB, 2)
	suspected := func() bool {
		select {
		case <-replica.RestoreSuspected():
			return true
		default:
			return false
		}
	}
	for i := range 5 {
		send(t, replica.DB, c, says("lost", fmt.Sprint(i)))
		send(t, replica.DB, other, says("kept", fmt.Sprint(i)))
	}
	send(t, replica.DB, c, says("lost", "1")) // a duplicate
	if suspected() {
		t.Error("ordinary messages are suspicious")
	}
	execute(t, conn, "DELETE FROM roomspa.messages WHERE conversation_id = $1 AND seq > 2", c)
	send(t, replica.DB, other, says("kept", "next"))
	if suspected() {
		t.Error("a message of another conversation is suspicious")
	}
	send(t, replica.DB, c, says("new", "new"))
	if !suspected() {
		t.Error("a number below others is not suspicious")
	}
}
