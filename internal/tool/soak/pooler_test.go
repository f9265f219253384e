package soak

import (
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/sandbox"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestNothingIsLostWhilePgBouncerIsAway breaks a PgBouncer, behind which both replicas are, while everybody talks.
func TestNothingIsLostWhilePgBouncerIsAway(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(*testing.T, *sandbox.Program) error{
		"restarted": func(t *testing.T, p *sandbox.Program) error { return p.Restart(t.Context()) },
		"killed": func(t *testing.T, p *sandbox.Program) error {
			return kill(t.Context(), p, 500*time.Millisecond)
		},
		"stands still": func(t *testing.T, p *sandbox.Program) error {
			return suspend(t.Context(), p, 3*time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world.NewWith(t, oneRoom)
			pooler, through := world.StartPgBouncer(t, w.DatabaseURL)
			s := newSceneIn(t, w, 2, 0, "ROOMSPA_DATABASE_URL="+through, "ROOMSPA_DATABASE_POOLER=pgbouncer")
			s.spread(t)
			check := s.steady()
			s.talk(t)
			for range 3 {
				if err := harm(t, pooler); err != nil {
					t.Fatal(err)
				}
				s.acknowledge(t, 25)
			}
			s.verdict(t)
			check(t, 0)
		})
	}
}
