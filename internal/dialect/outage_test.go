package dialect_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestSendsDuringAnOutageOfPostgresAreStoredOnceAndInOrder(t *testing.T) {
	t.Parallel()
	w := world.New(t).BehindProxies(t)
	r := w.Ready(t, "a", classic, world.DefaultTimeouts)
	customer, therapist := open(t, r, world.Customer, chatPath), open(t, r, world.Therapist, chatPath)
	w.ToPostgres.Cut()
	for i := range 5 {
		customer.Send(t, fmt.Sprintf(`{"message":"n%d"}`, i))
	}
	world.Eventually(t, "the first one has failed often", func() (bool, any) {
		n := strings.Count(r.Log.About(customer.Ref()), "Database error in save_message")
		return n >= 5, n
	})
	w.ToPostgres.Heal()
	for i := range 5 {
		expect(t, customer, world.Customer, fmt.Sprintf("n%d", i))
		expect(t, therapist, world.Customer, fmt.Sprintf("n%d", i))
	}
	customer.Send(t, `{"message":"after"}`)
	expect(t, therapist, world.Customer, "after")
	if n := world.Query[int](t, w, "SELECT count(*) FROM roomspa.messages"); n != 6 {
		t.Errorf("%d messages are stored, want 6", n)
	}
}

func TestFiveHundredQueuedMessagesArriveInOrderWhilePingsAreAnswered(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", classic)
	customer, therapist := open(t, r, world.Customer, chatPath), open(t, r, world.Therapist, chatPath)
	more := strings.Repeat("x", 1000)
	for i := range 500 {
		customer.Send(t, fmt.Sprintf(`{"message":"n%d %s"}`, i, more))
	}
	if err := customer.Conn.Ping(t.Context()); err != nil {
		t.Errorf("a ping behind them: %v", err)
	}
	for _, s := range []*world.Socket{customer, therapist} {
		for i := range 500 {
			expect(t, s, world.Customer, fmt.Sprintf("n%d %s", i, more))
		}
	}
}
