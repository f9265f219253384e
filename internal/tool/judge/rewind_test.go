package judge_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/roomspa/roomspa/internal/tool/judge"
)

// A restored run: the database ends with message 4 at second 10, and is back at second 12
// as it was after message 1. Messages 2 and 3 are then written anew. Each line of a client
// is a time in seconds and an entry.
var restoredRun = map[string][]string{
	"customer": {
		`1 {"kind":"connected","ref":"c1"}`,
		`2 {"kind":"sent","ref":"c1","client_message_id":"m1","text":"t"}`,
		`2 {"kind":"acknowledged","ref":"c1","seq":1,"id":"a1","client_message_id":"m1"}`,
		`2 {"kind":"received","ref":"c1","seq":1,"id":"a1","sender_id":1,"client_message_id":"m1","text":"t"}`,
		`3 {"kind":"sent","ref":"c1","client_message_id":"m2","text":"t"}`,
		`3 {"kind":"acknowledged","ref":"c1","seq":2,"id":"a2","client_message_id":"m2"}`,
		`3 {"kind":"received","ref":"c1","seq":2,"id":"a2","sender_id":1,"client_message_id":"m2","text":"t"}`,
		`3 {"kind":"sent","ref":"c1","client_message_id":"m3","text":"t"}`,
		`3 {"kind":"acknowledged","ref":"c1","seq":3,"id":"a3","client_message_id":"m3"}`,
		`3 {"kind":"received","ref":"c1","seq":3,"id":"a3","sender_id":1,"client_message_id":"m3","text":"t"}`,
		`4 {"kind":"received","ref":"c1","seq":4,"id":"a4","sender_id":2,"client_message_id":"m4","text":"t"}`,
		`13 {"kind":"resumed","ref":"c1","from":2,"seq":1,"reset":true}`,
		`14 {"kind":"sent","ref":"c1","client_message_id":"n2","text":"t"}`,
		`14 {"kind":"acknowledged","ref":"c1","seq":2,"id":"b2","client_message_id":"n2"}`,
		`14 {"kind":"received","ref":"c1","seq":2,"id":"b2","sender_id":1,"client_message_id":"n2","text":"t"}`,
		`22 {"kind":"received","ref":"c1","seq":3,"id":"b3","sender_id":2,"client_message_id":"n3","text":"t"}`,
		`100 {"kind":"closed","ref":"c1","code":1000}`,
		`100 {"kind":"stayed"}`,
	},
	"therapist": { // away during the restore
		`1 {"kind":"connected","ref":"t1"}`,
		`2 {"kind":"received","ref":"t1","seq":1,"id":"a1","sender_id":1,"client_message_id":"m1","text":"t"}`,
		`3 {"kind":"received","ref":"t1","seq":2,"id":"a2","sender_id":1,"client_message_id":"m2","text":"t"}`,
		`3 {"kind":"received","ref":"t1","seq":3,"id":"a3","sender_id":1,"client_message_id":"m3","text":"t"}`,
		`4 {"kind":"sent","ref":"t1","client_message_id":"m4","text":"t"}`,
		`4 {"kind":"acknowledged","ref":"t1","seq":4,"id":"a4","client_message_id":"m4"}`,
		`4 {"kind":"received","ref":"t1","seq":4,"id":"a4","sender_id":2,"client_message_id":"m4","text":"t"}`,
		`9 {"kind":"closed","ref":"t1","code":1006}`,
		`20 {"kind":"connected","ref":"t2","since":4,"seq":2}`,
		`20 {"kind":"resumed","ref":"t2","from":3,"seq":2,"reset":true}`,
		`22 {"kind":"sent","ref":"t2","client_message_id":"n3","text":"t"}`,
		`22 {"kind":"received","ref":"t2","seq":3,"id":"b3","sender_id":2,"client_message_id":"n3","text":"t"}`,
		`22 {"kind":"acknowledged","ref":"t2","seq":3,"id":"b3","client_message_id":"n3"}`,
		`100 {"kind":"closed","ref":"t2","code":1000}`,
		`100 {"kind":"stayed"}`,
	},
	"silent": { // had received nothing when the database went back
		`9 {"kind":"connected","ref":"s1","seq":4}`,
		`13 {"kind":"resumed","ref":"s1","from":2,"seq":1,"reset":true}`,
		`14 {"kind":"received","ref":"s1","seq":2,"id":"b2","sender_id":1,"client_message_id":"n2","text":"t"}`,
		`22 {"kind":"received","ref":"s1","seq":3,"id":"b3","sender_id":2,"client_message_id":"n3","text":"t"}`,
		`100 {"kind":"closed","ref":"s1","code":1000}`,
		`100 {"kind":"stayed"}`,
	},
	"gone": { // left before it could be reset
		`1 {"kind":"connected","ref":"g1"}`,
		`2 {"kind":"received","ref":"g1","seq":1,"id":"a1","sender_id":1,"client_message_id":"m1","text":"t"}`,
		`3 {"kind":"received","ref":"g1","seq":2,"id":"a2","sender_id":1,"client_message_id":"m2","text":"t"}`,
		`9 {"kind":"closed","ref":"g1","code":1000}`,
		`90 {"kind":"left"}`,
	},
}

const restoreFault = `{"kind":"database-restore","began":10000000,"ended":12000000,"rewinds":true}`

// restored returns the files of the run. change may change the lines of a client.
func restored(t *testing.T, fault string, change func(client string, lines []string) []string) fstest.MapFS {
	t.Helper()
	all := fstest.MapFS{
		judge.RunFile:           {Data: []byte(`{"started":1,"ended":100000000,"within_ns":30000000000}`)},
		judge.FaultsFile:        {Data: []byte(fault + "\n")},
		judge.ConversationsFile: {Data: []byte(`{"id":"c","customer_id":1,"therapist_id":2}` + "\n")},
		judge.MessagesFile: {Data: []byte(`{"conversation_id":"c","seq":1,"id":"a1","sender_id":1,"client_message_id":"m1","text":"t"}
{"conversation_id":"c","seq":2,"id":"b2","sender_id":1,"client_message_id":"n2","text":"t"}
{"conversation_id":"c","seq":3,"id":"b3","sender_id":2,"client_message_id":"n3","text":"t"}
`)},
	}
	user := map[string]int{"customer": 1, "therapist": 2, "silent": 9, "gone": 9}
	for client, lines := range restoredRun {
		text := fmt.Sprintf(`{"kind":"client","client":"%s","user":%d,"customer_id":1,"therapist_id":2}`+"\n", client, user[client])
		for _, line := range change(client, slices.Clone(lines)) {
			at, rest, _ := strings.Cut(line, " ")
			line = `{"at":` + at + `000000,` + rest[1:] + "\n"
			if !json.Valid([]byte(line)) {
				t.Fatalf("not JSON: %s", line)
			}
			text += line
		}
		all[judge.ClientsDir+"/"+client+".jsonl"] = &fstest.MapFile{Data: []byte(text)}
	}
	return all
}

func same(_ string, lines []string) []string { return lines }

func TestARestoredDatabaseIsNoLoss(t *testing.T) {
	t.Parallel()
	v, err := judge.Judge(restored(t, restoreFault, same))
	if err != nil {
		t.Fatal(err)
	}
	for i := range v.Violations {
		t.Error(v.Violations[i].String())
	}
	if v.Messages != 3 || v.Stored != 3 || v.Clients != 4 {
		t.Errorf("%+v", v)
	}
}

// TestAResetIsNoExcuse changes the run in one place. remove removes the lines that contain
// it, and insert is put in the place of the first one.
func TestAResetIsNoExcuse(t *testing.T) {
	t.Parallel()
	const reset = `"reset":true`
	for name, c := range map[string]struct {
		client, remove, insert string
		want                   judge.Breach
		seq                    int64
		detail                 string
	}{
		"an acknowledged message after a reset never arrives":     {"customer", `"id":"b3"`, "", judge.Lost, 3, "only messages up to seq 2"},
		"one that resumed misses an acknowledged message":         {"therapist", `"received","ref":"t2"`, "", judge.Lost, 3, ""},
		"an open socket is not reset, and hears nothing":          {"customer", `"ref":"c1","from"`, "", judge.Phantom, 4, "was not reset"},
		"one that had received nothing is not reset":              {"silent", `13`, "", judge.Repeated, 2, ""},
		"one that resumes is not reset":                           {"therapist", reset, `20 {"kind":"resumed","ref":"t2","from":5,"seq":4}`, judge.BadResume, 4, "were asked for"},
		"the reset skips messages":                                {"customer", reset, `13 {"kind":"resumed","ref":"c1","from":10,"seq":9,"reset":true}`, judge.BadResume, 9, "not stored"},
		"the reset does not go on behind its end":                 {"customer", reset, `13 {"kind":"resumed","ref":"c1","from":3,"seq":1,"reset":true}`, judge.BadResume, 1, "names seq 3"},
		"a reset before the restore":                              {"customer", `"seq":4`, `5 {"kind":"resumed","ref":"c1","from":2,"seq":1,"reset":true}`, judge.BadResume, 1, "before the database"},
		"a second reset, much later":                              {"customer", `"closed"`, `80 {"kind":"resumed","ref":"c1","from":4,"seq":3,"reset":true}`, judge.BadResume, 3, "again"},
		"a reset of another socket":                               {"customer", reset, `13 {"kind":"resumed","ref":"c0","from":2,"seq":1,"reset":true}`, judge.BadResume, 1, "not connected"},
		"a message that was lost arrives after the reset":         {"customer", `"n3"`, `22 {"kind":"received","ref":"c1","seq":3,"id":"a3","sender_id":1,"client_message_id":"m3","text":"t"}`, judge.Differs, 3, ""},
		"a message is acknowledged after the restore, and gone":   {"customer", `"n3"`, `22 {"kind":"acknowledged","ref":"c1","seq":4,"id":"b4","client_message_id":"n4"}`, judge.NotStored, 4, ""},
		"a hole before the reset":                                 {"customer", `"received","ref":"c1","seq":3`, "", judge.Hole, 3, ""},
		"the client was connected for long, and left":             {"gone", `"closed"`, `80 {"kind":"closed","ref":"g1","code":1000}`, judge.Differs, 2, "was not reset"},
		"the messages of before come again after the reset":       {"silent", `14`, `14 {"kind":"received","ref":"s1","seq":1,"id":"a1","sender_id":1,"client_message_id":"m1","text":"t"}`, judge.Repeated, 1, ""},
		"one that is neither reset nor hears anything afterwards": {"silent", `"ref":"s1","`, `9 {"kind":"connected","ref":"s1","seq":4}`, judge.Lost, 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed := false
			v, err := judge.Judge(restored(t, restoreFault, func(client string, lines []string) (out []string) {
				if client != c.client {
					return lines
				}
				inserted := c.insert == ""
				for _, line := range lines {
					if !strings.Contains(line, c.remove) && !strings.HasPrefix(line, c.remove+" ") {
						out = append(out, line)
						continue
					}
					if changed = true; !inserted {
						inserted = true
						out = append(out, c.insert)
					}
				}
				return out
			}))
			if err != nil || !changed {
				t.Fatal(err, changed)
			}
			var all []string
			for i := range v.Violations {
				found := &v.Violations[i]
				if found.Breach == c.want && found.Client == c.client && found.Seq == c.seq && strings.Contains(found.Detail, c.detail) {
					return
				}
				all = append(all, found.String())
			}
			t.Errorf("want %s of seq %d with %q, found:\n%s", c.want, c.seq, c.detail, strings.Join(all, "\n"))
		})
	}
}

func TestWithoutAFaultThatRewindsNothingIsExcused(t *testing.T) {
	t.Parallel()
	v, err := judge.Judge(restored(t, strings.Replace(restoreFault, `,"rewinds":true`, "", 1), same))
	if err != nil {
		t.Fatal(err)
	}
	found := map[judge.Breach]bool{}
	for i := range v.Violations {
		found[v.Violations[i].Breach] = true
	}
	for _, want := range []judge.Breach{judge.NotStored, judge.Differs, judge.Phantom, judge.BadResume} {
		if !found[want] {
			t.Errorf("no %s in %+v", want, found)
		}
	}
}
