package redis

import (
	"testing"
	"time"
)

func TestEvictionsAreToldForTenMinutes(t *testing.T) {
	t.Parallel()
	var e evictions
	began := time.Now()
	for i, c := range []struct {
		minute, count, want int
	}{
		{0, 500, 0}, // nobody knows when
		{1, 500, 0},
		{2, 503, 3},
		{11, 503, 3},
		{13, 503, 0},
		{14, 504, 4},
		{15, 7, 0}, // another server
		{16, 9, 2},
	} {
		if got := e.note(c.count, began.Add(time.Duration(c.minute)*time.Minute)); got != c.want {
			t.Errorf("look %d: %d, want %d", i, got, c.want)
		}
	}
}
