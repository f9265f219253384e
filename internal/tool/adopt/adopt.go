// Package django brings over what the predecessor, a Django application, has in its
// database: users with their password hashes, conversations and messages. It only
// reads there, in one snapshot. What it cannot bring over it leaves out and names.
package adopt

import (
	"context"
	"fmt"
	"time"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

// Options says what is imported from where.
type Options struct {
	URL    string // of the predecessor's database
	Tables Tables
	// Roles translates roles of the predecessor into ours; one that is not named
	// stands for itself.
	Roles map[string]room.Role
	// TimeZone is that of times without one (USE_TZ = False). Default: UTC.
	TimeZone string
	// NoUsers leaves the users out: roomspa.users is a view over the predecessor's.
	NoUsers bool
	// Rehearse writes nothing, and counts what would be written.
	Rehearse bool
	// Progress is told now and then how far it is; it may be nil.
	Progress func(Report)
}

const (
	// batchRows and batchBytes bound a batch, and with it the memory: one is in it
	// at a time, and the rows of the source come as they are taken.
	batchRows  = 1000
	batchBytes = 4 << 20
	// mostLeftOut bounds what is remembered of rows that were left out, since what
	// belongs to them is left out too. Whoever has more has named the wrong tables.
	mostLeftOut = 1_000_000
	// progressEvery is the time between two calls of Progress.
	progressEvery = 2 * time.Second
)

// An importer is one import under way.
type importer struct {
	o      Options
	source *source
	target *postgres.DB
	report Report
	began  time.Time
	told   time.Time

	noUser map[room.UserID]bool // those that were left out
	noRoom map[room.Room]bool   // likewise
	now    time.Time            // stands for a time that the predecessor does not know
}

// Import brings everything over that is not there yet, and returns what it has
// done. It may be repeated, also after one that was interrupted: what is there
// already is known by its id and left as it is, and what is new is added behind it.
func Import(ctx context.Context, o Options, target *postgres.DB) (Report, error) {
	im := &importer{
		o: o, target: target, report: Report{Rehearsal: o.Rehearse}, began: time.Now(), told: time.Now(),
		noUser: map[room.UserID]bool{}, noRoom: map[room.Room]bool{}, now: time.Now().UTC(),
	}
	var err error
	if im.source, err = open(ctx, o); err != nil {
		return im.report, err
	}
	defer im.source.close(ctx)
	missing, err := im.o.Tables.check(ctx, im.source.tx, o.NoUsers)
	if err != nil {
		return im.report, err
	}
	im.o.Tables.forget(missing)
	im.report.findMany("no_column", int64(len(missing)), missing...)
	for _, step := range []struct {
		what string
		run  func(context.Context) error
	}{{"users", im.users}, {"conversations", im.conversations}, {"messages", im.messages}} {
		if step.what == "users" && o.NoUsers {
			continue
		}
		if err := step.run(ctx); err != nil {
			return im.done(), fmt.Errorf("import %s: %w", step.what, err)
		}
		im.tell(true)
	}
	return im.done(), nil
}

func (im *importer) done() Report {
	im.report.TookMS = time.Since(im.began).Milliseconds()
	return im.report
}

// tell calls Progress, not too often.
func (im *importer) tell(now bool) {
	if im.o.Progress != nil && (now || time.Since(im.told) >= progressEvery) {
		im.told = time.Now()
		im.o.Progress(im.done())
	}
}

// role translates a role of the predecessor.
func (im *importer) role(theirs string) (room.Role, bool) {
	r, ok := im.o.Roles[theirs]
	if !ok {
		r = room.Role(theirs)
	}
	return r, r == room.Customer || r == room.Therapist || r == room.Support
}

func (im *importer) tooMuchLeftOut() error {
	if len(im.noUser)+len(im.noRoom) > mostLeftOut {
		return fmt.Errorf("more than %d users and conversations had to be left out: are these the right tables and columns?", mostLeftOut)
	}
	return nil
}
