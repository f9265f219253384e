package judge_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/roomspa/roomspa/internal/tool/judge"
)

// Each row changes one word of what devices were told that agree with each other.
func TestTheStateOfConversationsIsJudged(t *testing.T) {
	t.Parallel()
	const customer, therapist, second, inbox = "clients/customer.jsonl", "clients/therapist.jsonl", "clients/therapist2.jsonl", "clients/inbox.jsonl"
	for name, c := range map[string]struct {
		file, old, new string
		want           judge.Breach // empty if it is no violation
		client         string
	}{
		"nothing is wrong":                             {inbox, `"code":1000`, `"code":1001`, "", ""},
		"the own cursor is behind":                     {therapist, `"of":2,"delivered":4`, `"of":2,"delivered":3`, judge.CursorDiffers, "therapist"},
		"the cursor of the other side is behind":       {therapist, `"of":1,"read":3`, `"of":1,"read":2`, judge.CursorDiffers, "therapist"},
		"a cursor is ahead of the store":               {customer, `"of":2,"delivered":4`, `"of":2,"delivered":5`, judge.CursorDiffers, "customer"},
		"the store has another cursor":                 {judge.CursorsFile, `"delivered_seq":5`, `"delivered_seq":6`, judge.CursorDiffers, "customer"},
		"a badge is not cleared":                       {inbox, `"of":1,"read":3`, `"of":1,"read":2`, judge.CursorDiffers, "inbox"},
		"a cursor goes down":                           {customer, `"of":1,"delivered":5`, `"of":1,"delivered":2`, judge.CursorLowered, "customer"},
		"a cursor goes down across sockets":            {second, `"of":1,"delivered":5,"read":3`, `"of":1,"delivered":5,"read":2`, judge.CursorLowered, "therapist2"},
		"own messages count as unread":                 {inbox, `"seq":5,"unread":1`, `"seq":5,"unread":2`, judge.UnreadDiffers, "inbox"},
		"the unread messages are never told":           {inbox, `"kind":"counted"`, `"kind":"deferred"`, judge.UnreadDiffers, "inbox"},
		"connected counts another number":              {second, `"read":1,"unread":1`, `"read":1,"unread":3`, judge.UnreadDiffers, "therapist2"},
		"the other side seems to be away":              {customer, `"of":2,"online":true`, `"of":2`, judge.PresenceDiffers, "customer"},
		"an inbox does not hear of it either":          {inbox, `"of":2,"online":true`, `"of":2`, judge.PresenceDiffers, "inbox"},
		"a receipt is lost":                            {customer, `"kind":"marked","ref":"c000000000000001","delivered":5`, `"kind":"marked","ref":"c000000000000001","delivered":6`, judge.ReceiptLost, "customer"},
		"typing comes back":                            {customer, `"kind":"typing","ref":"c000000000000001","of":2`, `"kind":"typing","ref":"c000000000000001","of":1`, judge.OwnTyping, "customer"},
		"what is recent may still arrive":              {judge.RunFile, `"within_ns":15000000000`, `"within_ns":36000000000`, "", ""},
		"a client that is not connected need not know": {therapist, `"kind":"told","ref":"t000000000000001","of":2,"delivered":4`, `"kind":"closed","ref":"t000000000000001"`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copied(t, "testdata/state")
			before := string(dir[c.file].Data)
			after := strings.ReplaceAll(before, c.old, c.new)
			if after == before {
				t.Fatalf("%s has no %s", c.file, c.old)
			}
			dir[c.file].Data = []byte(after)
			v, err := judge.Judge(dir)
			if err != nil {
				t.Fatal(err)
			}
			found := c.want == ""
			var all []string
			for i := range v.Violations {
				all = append(all, v.Violations[i].String())
				found = found && c.want != "" || v.Violations[i].Breach == c.want && v.Violations[i].Client == c.client
			}
			if !found {
				t.Errorf("want %s of %s, found:\n%s", c.want, c.client, strings.Join(all, "\n"))
			}
		})
	}
}

func TestDevicesThatAgreeAreAccepted(t *testing.T) {
	t.Parallel()
	v, err := judge.Judge(os.DirFS("testdata/state"))
	if err != nil || v.Count != 0 {
		t.Errorf("%v, %+v", err, v)
	}
}

func TestACursorMayGoDownAfterAReset(t *testing.T) {
	t.Parallel()
	const file, last = "clients/therapist.jsonl", `"kind":"told","ref":"t000000000000001","of":2,"delivered":4}` + "\n"
	const reset = `{"at":1770000005070000,"kind":"resumed","ref":"t000000000000001","from":6,"seq":5,"reset":true}` + "\n" +
		`{"at":1770000005070001,"kind":"forgot"}` + "\n"
	const again = `{"at":1770000005070002,"kind":"told","of":1,"delivered":2,"read":2}` + "\n" + `{"at":1770000005070003,"kind":"told","of":1,"delivered":5,"read":3}` + "\n" +
		`{"at":1770000005070004,"kind":"told","of":2,"delivered":4,"read":1}` + "\n"
	for lines, want := range map[string]int{reset + again: 0, again: 1} {
		dir := copied(t, "testdata/state")
		dir[judge.FaultsFile] = &fstest.MapFile{Data: []byte(`{"kind":"rewind","began":1770000005050000,"ended":1770000005060000,"rewinds":true}` + "\n")}
		if want > 0 {
			delete(dir, judge.FaultsFile)
		}
		dir[file].Data = []byte(strings.Replace(string(dir[file].Data), last, last+lines, 1))
		if v, err := judge.Judge(dir); err != nil || v.Count != want {
			t.Errorf("want %d violations, got %v, %+v", want, err, v)
		}
	}
}
