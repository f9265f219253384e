package postgres_test

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// benchmarked opens ROOMSPA_BENCH_DATABASE_URL, migrated, or a private database of
// the sandbox, which does not wait for its disk.
func benchmarked(b *testing.B) *postgres.DB {
	b.Helper()
	given := os.Getenv("ROOMSPA_BENCH_DATABASE_URL")
	if given != "" {
		if err := world.Migrate(b.Context(), given); err != nil {
			b.Fatal(err)
		}
		return open(b, postgres.Options{URL: given})
	}
	return open(b, postgres.Options{URL: database(b)})
}

// concurrently runs b.N calls from so many goroutines.
func concurrently(b *testing.B, callers int, call func(n int64) error) {
	b.Helper()
	var next atomic.Int64
	done := make(chan error)
	b.ResetTimer()
	for range callers {
		go func() {
			var err error
			for n := next.Add(1); n <= int64(b.N) && err == nil; n = next.Add(1) {
				err = call(n)
			}
			done <- err
		}()
	}
	for range callers {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
}

func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 16, 256, 2048} {
		b.Run(fmt.Sprintf("%dcallers", callers), func(b *testing.B) {
			db := benchmarked(b)
			var rooms [200]room.ID
			for i := range rooms {
				rooms[i] = conversation(b, db, 1+2*i)
			}
			d := says("Good morning, I am on my way and will be there in ten minutes.", "")
			concurrently(b, callers, func(n int64) error {
				d := d
				d.ClientMessageID = fmt.Sprint(b.Name(), b.N, n)
				_, _, err := db.Append(b.Context(), rooms[n%int64(len(rooms))], d)
				return err
			})
		})
	}
}

func BenchmarkUsers(b *testing.B) {
	db := benchmarked(b)
	var ids []room.UserID
	for i := range 100 {
		u, err := db.CreateUser(b.Context(), room.User{Email: fmt.Sprint(b.Name(), b.N, i), Role: room.Customer, Active: true}, "-")
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, u.ID)
	}
	concurrently(b, 256, func(n int64) error {
		_, err := db.Users(b.Context(), ids[n%99:n%99+2])
		return err
	})
}

func BenchmarkConversation(b *testing.B) {
	db := benchmarked(b)
	concurrently(b, 256, func(n int64) error {
		_, err := db.Conversation(b.Context(), room.Room{Customer: room.UserID(1 + n%1000), Therapist: 7}, 1)
		return err
	})
}

func BenchmarkAfter(b *testing.B) {
	db := benchmarked(b)
	var rooms [50]room.ID
	for i := range rooms {
		rooms[i] = conversation(b, db, 1+2*i)
		for range 20 {
			send(b, db, rooms[i], says("Good morning, I am on my way and will be there in ten minutes.", ""))
		}
	}
	concurrently(b, 256, func(n int64) error {
		_, _, err := db.After(b.Context(), rooms[n%int64(len(rooms))], 10, 100, mebibyte)
		return err
	})
}
