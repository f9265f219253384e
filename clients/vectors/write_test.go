// Package vectors_test writes the vectors: scripts that say what a client does, for clients in any language. README.md
// describes the format. The expectations are written by hand, or follow from the table in closes_test.go, so that no
// client decides what is right.
package vectors_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

//go:generate go test . -run TestVectors -update

var update = flag.Bool("update", false, "write the vectors anew")

// A vector is one script.
type vector struct {
	Name     string          `json:"name"`
	Why      string          `json:"why"`
	Endpoint string          `json:"endpoint"`
	Needs    []string        `json:"needs,omitempty"`
	Random   float64         `json:"random"`
	Given    json.RawMessage `json:"given"`
	steps    []step
}

// A step is an event at a time, and all that the client does then.
type step struct {
	At     int               `json:"at"`
	Event  json.RawMessage   `json:"event,omitempty"`
	Expect []json.RawMessage `json:"expect"`
}

// at returns a step. The event may be empty: only time passes.
func at(ms int, event string, expect ...string) step {
	s := step{At: ms, Event: json.RawMessage(event), Expect: []json.RawMessage{}}
	for _, e := range expect {
		s.Expect = append(s.Expect, json.RawMessage(e))
	}
	return s
}

// chat returns a vector of a chat whose random numbers are 0.5. A given that is empty is that of a first connection.
func chat(name, why, given string, steps ...step) vector {
	if given == "" {
		given = "{}"
	}
	return vector{Name: name, Why: why, Endpoint: "chat", Random: 0.5, Given: json.RawMessage(given), steps: steps}
}

// needs says what a client must be capable of, beyond what every client must.
func (v vector) needs(capabilities ...string) vector {
	v.Needs = capabilities
	return v
}

// Events and actions that most vectors have.
const (
	start   = `{"type":"start"}`
	open    = `{"type":"open"}`
	lost    = `{"type":"close","code":1006}`
	live    = `{"type":"live"}`
	closing = `{"type":"close"}`
	ref     = "0123456789abcdef"
	helloAt = `{"type":"frame","frame":{"type":"connected","ref":"` + ref + `","conversation_id":"` + room + `","first_seq":%d,"last_seq":%d,"delivered_seq":0,"read_seq":0,"unread":0,"peer":{"id":2,"delivered_seq":0,"read_seq":0}}}`
	room    = "70a160fa-a4e7-48a8-9362-d2247849af41"
)

// hello is the connected frame of a conversation with the messages from first to last.
func hello(first, last int) string { return fmt.Sprintf(helloAt, first, last) }

// id is the id of the message with a seq.
func id(seq int) string { return fmt.Sprintf("01a20908-346f-7aae-834a-%012d", seq) }

// arrives is a message of the peer.
func arrives(seq int) string {
	return gets(`{"type":"chat_message","id":"%s","conversation_id":"%s","seq":%d,"sender_id":2,"sender_role":"therapist","message":"text %d","message_type":"text","timestamp":"2026-11-23T15:31:02.383Z"}`,
		id(seq), room, seq, seq)
}

func gets(format string, args ...any) string {
	return `{"type":"frame","frame":` + fmt.Sprintf(format, args...) + `}`
}

func shown(seq int) string { return fmt.Sprintf(`{"type":"message","seq":%d}`, seq) }

func say(name string) string {
	return fmt.Sprintf(`{"type":"send","client_message_id":"%s","message":"text %s"}`, name, name)
}

func sent(name string) string {
	return `{"type":"send","frame":` + message(name) + `}`
}

func message(name string) string {
	return fmt.Sprintf(`{"type":"chat_message","message":"text %s","client_message_id":"%s"}`, name, name)
}

func ack(name string, seq int) string {
	return gets(`{"type":"ack","client_message_id":"%s","id":"%s","seq":%d,"timestamp":"2026-11-23T15:31:02.383Z","duplicate":false}`, name, id(seq), seq)
}

func acked(name string, seq int) string {
	return fmt.Sprintf(`{"type":"acked","client_message_id":"%s","seq":%d}`, name, seq)
}

func refused(name, code string) string {
	return gets(`{"type":"error","code":"%s","ref":"%s","client_message_id":"%s"}`, code, ref, name)
}

func failed(name, code string) string {
	return fmt.Sprintf(`{"type":"failed","client_message_id":"%s","code":"%s"}`, name, code)
}

func closed(code int, word string) string {
	if word == "" {
		return fmt.Sprintf(`{"type":"close","code":%d}`, code)
	}
	return fmt.Sprintf(`{"type":"close","code":%d,"reason":"%s ref=%s"}`, code, word, ref)
}

func wait(ms int) string { return fmt.Sprintf(`{"type":"wait","delay":%d}`, ms) }

func over(code int) string { return fmt.Sprintf(`{"type":"over","code":%d}`, code) }

// dial is a handshake with a token and more members.
func dial(token string, more ...string) string {
	return `{"type":"dial","token":"` + token + `"` + strings.Join(append([]string{""}, more...), ",") + `}`
}

func since(seq int) string { return fmt.Sprintf(`"since":%d`, seq) }

func sinceID(seq int) string { return fmt.Sprintf(`"since":%d,"id":"%s"`, seq, id(seq)) }

func last(code int) string { return fmt.Sprintf(`"last_ref":"%s","last_code":%d`, ref, code) }

// begin is how most vectors begin: the first socket is live after 20 ms, in a conversation with 41 messages.
func begin(more ...step) []step {
	return append([]step{
		at(0, start, dial("t1")),
		at(10, open),
		at(20, hello(1, 41), live),
	}, more...)
}

// scripts returns the vectors of each file.
func scripts() map[string][]vector {
	return map[string][]vector{
		"closes": closes(), "backoff": backoff(), "handshake": handshake(), "resume": resume(), "queue": queue(),
		"tokens": tokens(), "alive": alive(), "receipts": receipts(), "typing": typing(), "location": location(),
	}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	for file, vectors := range scripts() {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			text := encode(t, vectors)
			path := file + ".json"
			if *update {
				if err := os.WriteFile(path, text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if have, err := os.ReadFile(path); err != nil || !bytes.Equal(have, text) {
				t.Errorf("%s is not what the scripts say (%v): run go generate ./clients/vectors", path, err)
			}
		})
	}
}

// encode writes one step a line, so that people can read and compare vectors.
func encode(t *testing.T, vectors []vector) []byte {
	t.Helper()
	var b bytes.Buffer
	marshal := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("%v: %v", v, err)
		}
		return string(text)
	}
	names := map[string]bool{}
	for i, v := range vectors {
		if names[v.Name] {
			t.Errorf("two vectors are called %q", v.Name)
		}
		names[v.Name] = true
		b.WriteString(map[bool]string{true: "[\n", false: ",\n"}[i == 0])
		b.WriteString("  " + strings.TrimSuffix(marshal(v), "}") + `,"steps":[`)
		for j, s := range v.steps {
			b.WriteString(map[bool]string{true: "\n    ", false: ",\n    "}[j == 0] + marshal(s))
		}
		b.WriteString("\n  ]}")
	}
	b.WriteString("\n]\n")
	return b.Bytes()
}

// TestTheREADMEListsFilesAndCapabilities also finds files that no script writes any more.
func TestTheREADMEListsFilesAndCapabilities(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		vectors, found := scripts()[strings.TrimSuffix(file, ".json")]
		if !found || !bytes.Contains(readme, []byte("`"+file+"`")) {
			t.Errorf("%s: a script writes it: %v; README.md must list it", file, found)
		}
		for _, v := range vectors {
			for _, need := range v.Needs {
				if !bytes.Contains(readme, []byte("| `"+need+"` |")) {
					t.Errorf("%s: %s needs %s, which README.md does not list under Capabilities", file, v.Name, need)
				}
			}
		}
	}
}
