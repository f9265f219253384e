package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

// typed returns drafts of several types. A client cannot make metadata nest deeper than the
// second one.
func typed() []room.Draft {
	deep := strings.Repeat("[", room.MaxMetadata/2-5)
	drafts := []room.Draft{says("a photo", "t-0"), says("what a later release sends", "t-1"), says("just text", "t-2"), says("a notice", "")}
	drafts[0].Type, drafts[0].Metadata = room.TypeImage, `{"width":800,"n":1.00,"caption":"Grüße \u00e9"}`
	drafts[1].Type, drafts[1].Metadata = "x-later/1.0", `{"a":`+deep+strings.ReplaceAll(deep, "[", "]")+`}`
	drafts[2].Metadata = `{}`
	drafts[3].Type, drafts[3].Sender, drafts[3].SenderRole = room.TypeSystem, 0, room.Support
	return drafts
}

// TestTypesAndMetadataAreKept stores each draft by the small statement and all by the large one.
func TestTypesAndMetadataAreKept(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	alone, batched := conversation(t, db, 1), conversation(t, db, 3)
	drafts := typed()
	for _, d := range drafts {
		m, _ := send(t, db, alone, d)
		if m.Differs(&d) {
			t.Errorf("got %+v of %+v", m, d)
		}
	}
	at := map[string]func() (room.Message, bool, error){}
	for _, d := range drafts {
		at[d.Text] = func() (room.Message, bool, error) { return db.Append(t.Context(), batched, d) }
	}
	for text, err := range together(t, url, batched, at) {
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	want := map[string]room.Draft{}
	for _, d := range drafts {
		want[d.Text] = d
	}
	for _, c := range []room.ID{alone, batched} {
		earlier, _, err := db.Before(t.Context(), c, 0, 100, mebibyte)
		if diff := cmp.Diff(all(t, db, c), earlier); diff != "" || err != nil {
			t.Errorf("pages differ: %v\n%s", err, diff)
		}
		if len(earlier) != len(drafts) {
			t.Fatalf("%d messages", len(earlier))
		}
		for _, m := range earlier {
			if d := want[m.Text]; m.Differs(&d) || m.Sender != d.Sender {
				t.Errorf("got %+v, want %+v", m, d)
			}
		}
		list, _, err := db.Summaries(t.Context(), room.UserID(map[room.ID]int{alone: 1, batched: 3}[c]), nil, 10, mebibyte)
		if diff := cmp.Diff(&earlier[len(earlier)-1], list[0].Last); diff != "" || err != nil {
			t.Errorf("the last message: %v\n%s", err, diff)
		}
	}
}

// TestARepeatReturnsTheStoredContent also covers repeats within a batch.
func TestARepeatReturnsTheStoredContent(t *testing.T) {
	t.Parallel()
	url := database(t)
	db := open(t, postgres.Options{URL: url})
	c := conversation(t, db, 1)
	image := typed()[0]
	first, _ := send(t, db, c, image)
	text := says("a photo", image.ClientMessageID)
	for _, d := range []room.Draft{image, text} {
		again, duplicate := send(t, db, c, d)
		if diff := cmp.Diff(first, again); diff != "" || !duplicate {
			t.Errorf("duplicate %v:\n%s", duplicate, diff)
		}
	}
	if first.Differs(&image) || !first.Differs(&text) {
		t.Error("the metadata does not count")
	}
	at := map[string]func() (room.Message, bool, error){}
	var same [8]room.Message
	for i := range same {
		d := says("together", "b")
		d.Metadata = fmt.Sprintf(`{"n":%d}`, i)
		at[d.Metadata] = func() (m room.Message, duplicate bool, err error) {
			same[i], duplicate, err = db.Append(t.Context(), c, d)
			return same[i], duplicate, err
		}
	}
	together(t, url, c, at)
	for _, m := range same {
		if diff := cmp.Diff(same[0], m); diff != "" || m.Metadata == "" {
			t.Errorf("one id is two messages:\n%s", diff)
		}
	}
}

func TestMetadataCountsInThePage(t *testing.T) {
	t.Parallel()
	db := open(t, postgres.Options{URL: database(t)})
	c := conversation(t, db, 1)
	d := says("hi", "")
	d.Metadata = `{"a":"` + longText(3000)[:3000] + `"}`
	for range 4 {
		send(t, db, c, d)
	}
	later, more, err := db.After(t.Context(), c, 0, 10, 7000)
	if err != nil || len(later) != 2 || !more {
		t.Errorf("%d messages, more %v: %v", len(later), more, err)
	}
	earlier, more, err := db.Before(t.Context(), c, 0, 10, 7000)
	if err != nil || len(earlier) != 2 || !more {
		t.Errorf("%d messages, more %v: %v", len(earlier), more, err)
	}
}
