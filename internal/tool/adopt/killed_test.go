package adopt_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/tool/adopt"
)

// A fuse ends a context after a number of steps and batches, as a killed command ends its connection.
type fuse struct {
	left   int
	cancel context.CancelFunc
}

func (f *fuse) burn() {
	if f.left--; f.left == 0 {
		f.cancel()
	}
}

func (f *fuse) Write(p []byte) (int, error) {
	f.burn()
	return len(p), nil
}

// killed runs a command that is killed after n steps and batches. It reports whether it was.
func (d *database) killed(t *testing.T, n int, run func(context.Context, *adopt.Adoption) error) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f := &fuse{n, cancel}
	a := d.open(t, func(o *adopt.Options) { o.Batch, o.Out, o.Progress = 2, f, func(adopt.Progress) { f.burn() } })
	err := run(ctx, a)
	if err != nil && ctx.Err() == nil {
		t.Fatalf("killed after %d: %v", n, err)
	}
	return err != nil
}

func TestKilledApplyEndsTheSame(t *testing.T) {
	t.Parallel()
	var deaths int
	for n := 1; ; n += 3 {
		d := predecessor(t)
		if !d.killed(t, n, func(ctx context.Context, a *adopt.Adoption) error { _, err := a.Apply(ctx); return err }) {
			break
		}
		deaths++
		d.apply(t)
		d.expect(t, messages, adopted...)
		d.expect(t, cursors, "1/2 1 4 4", "1/2 2 3 3", "1/4 1 1 1", "5/4 4 1 1", "5/4 5 1 1")
		d.expectSame(t)
	}
	if deaths < 5 {
		t.Errorf("only %d moments were tried", deaths)
	}
}

func TestKilledReturnEndsTheSame(t *testing.T) {
	t.Parallel()
	state := func(d *database) []string {
		return append(d.rows(t, "SELECT id, conversation_id, sender_id, receiver_id, content, is_read, message_type FROM chat_message ORDER BY id"),
			d.rows(t, "SELECT c.id, c.last_message_id, array_agg(p.userprofile_id ORDER BY 1) FROM chat_conversation c JOIN chat_conversation_participants p ON p.conversation_id = c.id GROUP BY c.id ORDER BY c.id")...)
	}
	whole := used(t)
	whole.giveBack(t)
	want := state(whole)
	var deaths int
	for n := 1; ; n += 3 {
		d := used(t)
		if !d.killed(t, n, func(ctx context.Context, a *adopt.Adoption) error { return a.Return(ctx) }) {
			break
		}
		deaths++
		d.giveBack(t)
		if diff := cmp.Diff(want, state(d)); diff != "" {
			t.Errorf("killed after %d (-want +got):\n%s", n, diff)
		}
		d.expectSame(t)
	}
	if deaths < 4 {
		t.Errorf("only %d moments were tried", deaths)
	}
}

// A second run takes over from a first one that still goes on.
func TestOnlyOneRunWrites(t *testing.T) {
	t.Parallel()
	d := predecessor(t)
	var second error
	begun := false
	first := d.open(t, func(o *adopt.Options) {
		o.Progress = func(adopt.Progress) {
			if !begun {
				begun = true
				_, second = d.open(t).Apply(t.Context())
			}
		}
	})
	_, err := first.Apply(t.Context())
	if err == nil || !strings.Contains(err.Error(), "another roomspa adopt django has begun since") || second != nil {
		t.Errorf("first %v, second %v", err, second)
	}
	d.expect(t, messages, adopted...)
}
