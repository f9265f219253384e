package judge_test

import (
	"bytes"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/tool/judge"
)

func TestAGoodHistoryIsAccepted(t *testing.T) {
	t.Parallel()
	v, err := judge.Judge(os.DirFS("testdata/good"))
	if err != nil {
		t.Fatal(err)
	}
	want := &judge.Verdict{
		Messages: 8, Stored: 8, Clients: 3, Reconnects: 2,
		Faults: map[string]int{"client-cut": 1, "replica-kill": 1},
	}
	if diff := cmp.Diff(want, v, cmp.AllowUnexported(judge.Violation{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The directories are the good history, doctored in one place each.
func TestADoctoredHistoryIsRejected(t *testing.T) {
	t.Parallel()
	for dir, c := range map[string]struct {
		breach   judge.Breach
		client   string
		seq      int64
		evidence []string // pieces of it
	}{
		"lost":                    {judge.Lost, "therapist", 8, []string{"messages.jsonl:8:", `clients/customer.jsonl`, `"kind":"acknowledged","ref":"t000000000000001","seq":8`}},
		"hole":                    {judge.Hole, "therapist", 6, []string{`"kind":"received","ref":"t000000000000001","seq":5`, `"kind":"received","ref":"t000000000000001","seq":7`}},
		"repeated":                {judge.Repeated, "therapist", 4, []string{"clients/therapist.jsonl:8:", "clients/therapist.jsonl:9:"}},
		"reordered":               {judge.Reordered, "customer", 2, []string{`"kind":"received","ref":"c000000000000001","seq":3`}},
		"acknowledged_not_stored": {judge.NotStored, "therapist", 8, []string{`"kind":"sent","ref":"t000000000000001","client_message_id":"m8"`}},
		"one_id_twice":            {judge.OneIDTwice, "", 7, []string{"messages.jsonl:6:", "messages.jsonl:7:", `"kind":"sent","ref":"c000000000000002","client_message_id":"m6"`}},
		"late":                    {judge.Late, "therapist", 8, []string{`"kind":"acknowledged"`}},
	} {
		t.Run(dir, func(t *testing.T) {
			t.Parallel()
			v, err := judge.Judge(os.DirFS("testdata/" + dir))
			if err != nil {
				t.Fatal(err)
			}
			if v.Count == 0 || len(v.Violations) == 0 {
				t.Fatal("it was accepted")
			}
			first := v.Violations[0]
			if first.Breach != c.breach || first.Client != c.client || first.Seq != c.seq {
				t.Errorf("found %s, want %s of client %q, seq %d", &first, c.breach, c.client, c.seq)
			}
			var text bytes.Buffer
			if err := first.Write(&text); err != nil {
				t.Fatal(err)
			}
			for _, piece := range c.evidence {
				if !strings.Contains(text.String(), piece) {
					t.Errorf("the evidence lacks %s:\n%s", piece, &text)
				}
			}
		})
	}
}

// copied is a history in memory, to change a line of.
func copied(t *testing.T, path string) fstest.MapFS {
	t.Helper()
	dir := os.DirFS(path)
	all := fstest.MapFS{}
	err := fs.WalkDir(dir, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(dir, path)
		all[path] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestOneChangedWordIsFound(t *testing.T) {
	t.Parallel()
	const customer, therapist, support = "clients/customer.jsonl", "clients/therapist.jsonl", "clients/support.jsonl"
	for name, c := range map[string]struct {
		file, old, new string
		want           judge.Breach
	}{
		"the store has a hole":                 {judge.MessagesFile, `"seq":8`, `"seq":9`, judge.StoreHole},
		"another text is stored":               {judge.MessagesFile, `"client_message_id":"m3","text":"`, `"client_message_id":"m3","text":"0`, judge.Differs},
		"another text is seen":                 {therapist, `"client_message_id":"m3","text":"`, `"client_message_id":"m3","text":"0`, judge.Differs},
		"another sender is seen":               {therapist, `"sender_id":2,"client_message_id":"m5"`, `"sender_id":1,"client_message_id":"m5"`, judge.Differs},
		"acknowledged under another id":        {customer, `"kind":"acknowledged","ref":"c000000000000001","seq":3,"id":"019c`, `"kind":"acknowledged","ref":"c000000000000001","seq":3,"id":"029c`, judge.OneIDTwice},
		"acknowledged as another seq":          {customer, `"kind":"acknowledged","ref":"c000000000000001","seq":3`, `"kind":"acknowledged","ref":"c000000000000001","seq":4`, judge.OneIDTwice},
		"never acknowledged":                   {therapist, `"kind":"acknowledged","ref":"t000000000000001","seq":5,"id":"019c1a2b-0000-7000-8000-000000000005","client_message_id":"m5"`, `"kind":"closed","ref":"other"`, judge.Unanswered},
		"the resume begins behind":             {support, `"since":5`, `"since":6`, judge.Repeated},
		"the resume begins too early":          {support, `"since":5`, `"since":4`, judge.BadResume},
		"the replay ends before its end":       {customer, `"kind":"resumed","ref":"c000000000000002","from":6,"seq":6`, `"kind":"resumed","ref":"c000000000000002","from":6,"seq":7`, judge.BadResume},
		"the server has lost messages":         {customer, `"from":6,"seq":6`, `"from":6,"seq":5,"reset":true`, judge.BadResume},
		"a message that is not stored is seen": {support, `"kind":"left"`, `"kind":"received","ref":"s000000000000002","seq":10`, judge.Phantom},
		"a client is sent away":                {support, `"kind":"left"`, `"kind":"gave_up"`, judge.SentAway},
		"who goes must say so":                 {support, `"kind":"left"`, `"kind":"connected","seq":8,"since":8`, judge.BrokenRecord},
		"nothing was seen at all":              {therapist, `"kind":"received"`, `"kind":"closed"`, judge.Lost},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := copied(t, "testdata/good")
			before := string(dir[c.file].Data)
			n := 1
			if c.want == judge.Lost {
				n = -1
			}
			after := strings.Replace(before, c.old, c.new, n)
			if after == before {
				t.Fatalf("%s has no %s", c.file, c.old)
			}
			dir[c.file].Data = []byte(after)
			v, err := judge.Judge(dir)
			if err != nil {
				t.Fatal(err)
			}
			var all []string
			for i := range v.Violations {
				all = append(all, v.Violations[i].String())
				if v.Violations[i].Breach == c.want {
					return
				}
			}
			t.Errorf("want %s, found:\n%s", c.want, strings.Join(all, "\n"))
		})
	}
}

func TestAClientThatKeepsTheOrderMustFindItStored(t *testing.T) {
	t.Parallel()
	const begins = `"client":"customer","user":1`
	for _, inOrder := range []bool{false, true} {
		dir := copied(t, "testdata/good")
		text := string(dir["clients/customer.jsonl"].Data)
		var sent []string
		for line := range strings.Lines(text) {
			if strings.Contains(line, `"kind":"sent"`) && len(sent) < 2 {
				sent = append(sent, line)
			}
		}
		text = strings.Replace(text, sent[0], "", 1)
		text = strings.Replace(text, sent[1], sent[1]+sent[0], 1) // the other way round
		if inOrder {
			text = strings.Replace(text, begins, begins+`,"in_order":true`, 1)
		}
		dir["clients/customer.jsonl"].Data = []byte(text)
		v, err := judge.Judge(dir)
		if err != nil {
			t.Fatal(err)
		}
		found := slices.ContainsFunc(v.Violations, func(v judge.Violation) bool { return v.Breach == judge.Reordered })
		if found != inOrder {
			t.Errorf("in order: %v, found %+v", inOrder, v.Violations)
		}
	}
}

func TestWhatWasLostAfterTheRunIsNoLoss(t *testing.T) {
	t.Parallel()
	dir := copied(t, "testdata/good")
	text := string(dir["clients/therapist.jsonl"].Data)
	from := strings.Index(text, `{"at":1770000007060000,"kind":"received"`)
	to := from + strings.Index(text[from:], "\n") + 1
	dir["clients/therapist.jsonl"].Data = []byte(text[:from] + text[to:])
	dir[judge.RunFile].Data = []byte(`{"seed":1,"within_ns":30000000000,"started":1770000000000000,"ended":1770000030000000}`)
	v, err := judge.Judge(dir)
	if err != nil {
		t.Fatal(err)
	}
	if v.Count != 0 {
		t.Errorf("its time was not over yet, and found was %s", &v.Violations[0])
	}
}

func TestALineThatWasCutOffIsLeftOut(t *testing.T) {
	t.Parallel()
	dir := copied(t, "testdata/good")
	dir["clients/customer.jsonl"].Data = append(dir["clients/customer.jsonl"].Data, `{"at":17700`...)
	v, err := judge.Judge(dir)
	if err != nil || v.Count != 0 {
		t.Errorf("%v, %+v", err, v)
	}
}

func TestWhatCannotBeReadIsNoVerdict(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(fstest.MapFS){
		"no run":             func(d fstest.MapFS) { delete(d, judge.RunFile) },
		"no store":           func(d fstest.MapFS) { delete(d, judge.MessagesFile) },
		"no clients":         func(d fstest.MapFS) { clear(d) },
		"no JSON":            func(d fstest.MapFS) { d[judge.MessagesFile].Data = []byte("hello\n") },
		"a client of nobody": func(d fstest.MapFS) { d["clients/customer.jsonl"].Data = []byte(`{"kind":"sent"}` + "\n") },
	} {
		dir := copied(t, "testdata/good")
		change(dir)
		if v, err := judge.Judge(dir); err == nil {
			t.Errorf("%s: %+v", name, v)
		}
	}
}
