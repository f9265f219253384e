package judge_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/tool/judge"
)

// A classicRun is what a customer and a therapist did who have apps of the predecessor. The customer
// sends the even messages, the therapist the odd ones.
type classicRun struct {
	stored              []judge.Message
	pages               []judge.Page
	customer, therapist []judge.Entry
}

const (
	classicStart = int64(1_770_000_000_000_000)
	classicEnd   = classicStart + int64(2*time.Minute/time.Microsecond)
)

// newClassicRun has 12 messages, of which each one was seen by both. The customer had two sockets;
// what he sent last on the first one was stored or not.
func newClassicRun() *classicRun {
	r := &classicRun{}
	head := judge.Entry{Kind: judge.Begins, Customer: 1, Therapist: 2, Classic: true}
	for user, h := range map[int64]*[]judge.Entry{1: &r.customer, 2: &r.therapist} {
		head.User, head.Client = user, map[int64]string{1: "customer", 2: "therapist"}[user]
		*h = append(*h, head, judge.Entry{Kind: judge.Connected, Ref: "a", At: classicStart})
	}
	for seq := int64(1); seq <= 12; seq++ {
		sender, own := int64(1), &r.customer
		if seq%2 != 0 {
			sender, own = 2, &r.therapist
		}
		text := judge.Hash(string(rune('a' + seq)))
		at := classicStart + seq*1000
		ref := "a"
		if seq > 6 && sender == 1 {
			ref = "b"
		}
		r.stored = append(r.stored, judge.Message{Conversation: "c", Seq: seq, ID: string(rune('A' + seq)), Sender: sender, ClientMessageID: text, Text: text, Number: 100 + seq})
		r.pages = append(r.pages, judge.Page{Customer: 1, Therapist: 2, Number: 100 + seq, Sender: sender, Text: text})
		*own = append(*own, judge.Entry{Kind: judge.Sent, Ref: ref, At: at, Text: text})
		frame := judge.Entry{Kind: judge.Received, Ref: "a", At: at + 500, Number: 100 + seq, Sender: sender, Text: text}
		r.therapist = append(r.therapist, frame)
		if seq == 6 { // its frame does not come back, and what was sent after it is not stored
			r.customer = append(r.customer, judge.Entry{Kind: judge.Sent, Ref: "a", At: at, Text: "never stored"},
				judge.Entry{Kind: judge.Closed, Ref: "a", At: at + 100, Code: 1006}, judge.Entry{Kind: judge.Connected, Ref: "b", At: at + 200})
			continue
		}
		if seq > 6 {
			frame.Ref = "b"
		}
		r.customer = append(r.customer, frame)
	}
	for _, h := range []*[]judge.Entry{&r.customer, &r.therapist} {
		*h = append(*h, judge.Entry{Kind: judge.Closed, Ref: (*h)[len(*h)-1].Ref, At: classicEnd + 1000}, judge.Entry{Kind: judge.Stayed, At: classicEnd + 2000})
	}
	return r
}

func (r *classicRun) judge(t *testing.T) *judge.Verdict {
	t.Helper()
	dir := fstest.MapFS{}
	writeAll(t, dir, judge.RunFile, []judge.Run{{Within: 30 * time.Second, Started: classicStart, Ended: classicEnd}})
	writeAll(t, dir, judge.ConversationsFile, []judge.Conversation{{ID: "c", Customer: 1, Therapist: 2}})
	writeAll(t, dir, judge.MessagesFile, r.stored)
	writeAll(t, dir, judge.PagesFile, r.pages)
	writeAll(t, dir, judge.ClientsDir+"/customer.jsonl", r.customer)
	writeAll(t, dir, judge.ClientsDir+"/therapist.jsonl", r.therapist)
	v, err := judge.Judge(dir)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func writeAll[T any](t *testing.T, dir fstest.MapFS, name string, lines []T) {
	t.Helper()
	var text bytes.Buffer
	for _, line := range lines {
		if err := json.NewEncoder(&text).Encode(line); err != nil {
			t.Fatal(err)
		}
	}
	dir[name] = &fstest.MapFile{Data: text.Bytes()}
}

func TestAGoodRunOfClassicClientsIsAccepted(t *testing.T) {
	t.Parallel()
	want := &judge.Verdict{
		Messages: 11, Stored: 12, Clients: 2, Reconnects: 1, Faults: map[string]int{},
		Classic: judge.Classic{Clients: 2, Received: 23, Answered: 11, Unanswered: 2, Stored: 1, Paged: 12},
	}
	if diff := cmp.Diff(want, newClassicRun().judge(t), cmp.AllowUnexported(judge.Violation{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// find returns the index of the frame of a message, or of its send.
func find(history []judge.Entry, kind judge.Kind, seq int64) int {
	text := judge.Hash(string(rune('a' + seq)))
	return slices.IndexFunc(history, func(e judge.Entry) bool { return e.Kind == kind && e.Text == text })
}

// drop takes entries out of a history.
func drop(history *[]judge.Entry, kind judge.Kind, seqs ...int64) {
	for _, seq := range seqs {
		i := find(*history, kind, seq)
		*history = slices.Delete(*history, i, i+1)
	}
}

func TestABrokenDialectIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		want   judge.Breach
		change func(r *classicRun)
	}{
		"a frame is missing": {judge.Hole, func(r *classicRun) { drop(&r.customer, judge.Received, 9) }},
		"a frame comes twice": {judge.Repeated, func(r *classicRun) {
			i := find(r.customer, judge.Received, 9)
			r.customer = slices.Insert(r.customer, i, r.customer[i])
		}},
		"two frames change places": {judge.Reordered, func(r *classicRun) {
			i := find(r.therapist, judge.Received, 6)
			swap(r.therapist, i, find(r.therapist, judge.Received, 4))
		}},
		"the last frames are missing":    {judge.Lost, func(r *classicRun) { drop(&r.customer, judge.Received, 11, 12) }},
		"an own frame does not come":     {judge.Unanswered, func(r *classicRun) { drop(&r.customer, judge.Received, 12) }},
		"the first own frame is missing": {judge.Hole, func(r *classicRun) { drop(&r.customer, judge.Received, 7, 8, 9) }},
		"a socket gets nothing at all": {judge.Lost, func(r *classicRun) {
			drop(&r.therapist, judge.Received, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
			drop(&r.therapist, judge.Sent, 1, 3, 5, 7, 9, 11)
			r.therapist[1].At -= 20_000_000
		}},
		"another sender":           {judge.Differs, func(r *classicRun) { r.customer[find(r.customer, judge.Received, 9)].Sender = 1 }},
		"another number":           {judge.Phantom, func(r *classicRun) { r.customer[find(r.customer, judge.Received, 9)].Number = 999 }},
		"another text":             {judge.Differs, func(r *classicRun) { r.customer[find(r.customer, judge.Received, 9)].Text = "other" }},
		"another frame":            {judge.ForeignFrame, func(r *classicRun) { r.customer[find(r.customer, judge.Received, 12)].Kind = judge.Foreign }},
		"a late frame":             {judge.Late, func(r *classicRun) { r.customer[find(r.customer, judge.Received, 11)].At += 40_000_000 }},
		"a send that was left out": {judge.NotStored, func(r *classicRun) { r.customer[find(r.customer, judge.Sent, 2)].Text = "left out" }},
		"sends that changed places": {judge.Reordered, func(r *classicRun) {
			swap(r.customer, find(r.customer, judge.Sent, 2), find(r.customer, judge.Sent, 4))
		}},
		"a send that is there twice": {judge.OneIDTwice, func(r *classicRun) { r.stored[11].Text = r.stored[9].Text; r.stored[11].Sender = 1 }},
		"a page without one":         {judge.PageDiffers, func(r *classicRun) { r.pages = slices.Delete(r.pages, 4, 5) }},
		"a page without the last":    {judge.PageDiffers, func(r *classicRun) { r.pages = r.pages[:11] }},
		"a page with one twice":      {judge.PageDiffers, func(r *classicRun) { r.pages = slices.Insert(r.pages, 4, r.pages[4]) }},
		"a page from new to old":     {judge.PageDiffers, func(r *classicRun) { slices.Reverse(r.pages) }},
		"a page with more":           {judge.PageDiffers, func(r *classicRun) { r.pages = append(r.pages, r.pages[0]) }},
		"a history without an end":   {judge.BrokenRecord, func(r *classicRun) { r.customer = r.customer[:len(r.customer)-1] }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newClassicRun()
			c.change(r)
			v := r.judge(t)
			if !slices.ContainsFunc(v.Violations, func(found judge.Violation) bool { return found.Breach == c.want }) {
				t.Errorf("want %s, found %d violations:", c.want, v.Count)
				for i := range v.Violations {
					t.Error(&v.Violations[i])
				}
			}
		})
	}
}

func swap(history []judge.Entry, i, j int) { history[i], history[j] = history[j], history[i] }
