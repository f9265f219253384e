package frame_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/roomspa/roomspa/internal/frame"
)

// A document is docs/asyncapi.yaml.
type document struct {
	root   map[string]any
	schema *jsonschema.Compiler
}

func readDocument(t testing.TB) *document {
	t.Helper()
	text, err := os.ReadFile("../../docs/asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	root, err := parseYAML(string(text))
	if err != nil {
		t.Fatalf("docs/asyncapi.yaml: %v", err)
	}
	d := &document{root: root.(map[string]any), schema: jsonschema.NewCompiler()}
	d.schema.AssertFormat()
	if err := d.schema.AddResource("asyncapi.json", root); err != nil {
		t.Fatal(err)
	}
	return d
}

// at returns what stands at a path of names.
func (d *document) at(t testing.TB, path ...string) map[string]any {
	t.Helper()
	m := d.root
	for _, name := range path {
		next, ok := m[name].(map[string]any)
		if !ok {
			t.Fatalf("docs/asyncapi.yaml has no %s", strings.Join(path, "."))
		}
		m = next
	}
	return m
}

// payload returns the schema of a message, and its pointer.
func (d *document) payload(t *testing.T, message string) (map[string]any, string) {
	t.Helper()
	at := []string{"components", "messages", message, "payload"}
	p := d.at(t, at...)
	if ref, ok := p["$ref"].(string); ok {
		at = strings.Split(strings.TrimPrefix(ref, "#/"), "/")
		p = d.at(t, at...)
	}
	return p, "asyncapi.json#/" + strings.Join(at, "/")
}

// validate holds JSON to the schema of a message.
func (d *document) validate(t *testing.T, message string, text []byte) error {
	t.Helper()
	_, pointer := d.payload(t, message)
	s, err := d.schema.Compile(pointer)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s.Validate(v)
}

// types returns the types that a message may have.
func types(payload map[string]any) []string {
	property, _ := payload["properties"].(map[string]any)["type"].(map[string]any)
	if c, ok := property["const"].(string); ok {
		return []string{c}
	}
	list, _ := property["enum"].([]any)
	all := make([]string, len(list))
	for i := range list {
		all[i], _ = list[i].(string)
	}
	return all
}

func TestEveryFrameTypeIsInTheDocumentAndInTheCode(t *testing.T) {
	t.Parallel()
	d := readDocument(t)
	inCode := map[string]bool{"location": true} // an old name that clients may send
	for _, name := range []string{"client.go", "server.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "Type") && len(v.Values) == 1 {
				value, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				inCode[value] = true
			}
			return true
		})
	}
	inDocument := map[string]bool{}
	for message := range d.at(t, "components", "messages") {
		payload, _ := d.payload(t, message)
		for _, kind := range types(payload) {
			inDocument[kind] = true
		}
	}
	if diff := cmp.Diff(inCode, inDocument); diff != "" {
		t.Errorf("frame types (-code +docs/asyncapi.yaml):\n%s", diff)
	}
	protocol, err := os.ReadFile("../../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range inCode {
		if !bytes.Contains(protocol, []byte("`"+name+"`")) && !bytes.Contains(protocol, []byte(`"`+name+`"`)) {
			t.Errorf("docs/protocol.md does not have the frame type %s", name)
		}
		if o := frame.Outlined(frame.Message{Data: []byte(`{"type":"` + name + `"}`)}); o.Type != name {
			t.Errorf("operators see frames of the type %s as %q: add it to types in outline.go", name, o.Type)
		}
	}
}

func TestEveryMessageIsUsedAndEveryReferenceLeadsSomewhere(t *testing.T) {
	t.Parallel()
	d := readDocument(t)
	used := map[string]bool{}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
			if ref, ok := v["$ref"].(string); ok {
				used[ref] = true
				d.at(t, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
			}
		}
	}
	walk(d.root)
	for _, kind := range []string{"messages", "schemas", "parameters"} {
		for name := range d.at(t, "components", kind) {
			if !used["#/components/"+kind+"/"+name] {
				t.Errorf("%s %s is not used", kind, name)
			}
		}
	}
	for channel := range d.at(t, "channels") {
		for message := range d.at(t, "channels", channel, "messages") {
			if !used["#/channels/"+channel+"/messages/"+message] {
				t.Errorf("no operation of %s has the message %s", channel, message)
			}
		}
	}
}

// withoutStruct are the messages of the server that have no struct of their own.
var withoutStruct = []string{"inbox_connected", "location_connected", "inbox_complete", "pong", "chat_message", "location_update"}

// TestServerFramesHaveTheFieldsOfTheDocument compares the structs with the schemas:
// same fields, and required are those that are never left out.
func TestServerFramesHaveTheFieldsOfTheDocument(t *testing.T) {
	t.Parallel()
	d := readDocument(t)
	structs := map[string]any{
		"chat_connected": frame.Connected{}, "resumed": frame.Resumed{}, "ack": frame.Ack{}, "history": frame.History{},
		"receipt": frame.Receipt{}, "typing": frame.Typing{}, "presence": frame.Presence{}, "conversation": frame.Conversation{},
		"reconnect": frame.Reconnect{}, "token_expiring": frame.TokenExpiring{}, "error": frame.Error{}, "greeting": frame.Greeting{},
	}
	for message, m := range d.at(t, "components", "messages") {
		_, fromClients := m.(map[string]any)["examples"]
		if structs[message] == nil && !fromClients && !slices.Contains(withoutStruct, message) {
			t.Errorf("no struct is compared with the message %s: add it to structs in this test", message)
		}
	}
	for message, f := range structs {
		fields, always := map[string]bool{}, map[string]bool{}
		inEveryChat := map[string]bool{"conversation_id": true, "first_seq": true, "last_seq": true}
		kind := reflect.TypeOf(f)
		for field := range kind.Fields() {
			name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
			fields[name] = true
			// The location endpoint leaves out what only the chat's connected frame has.
			if options != "omitempty" || message == "chat_connected" && inEveryChat[name] {
				always[name] = true
			}
		}
		payload, _ := d.payload(t, message)
		if diff := cmp.Diff(fields, names(payload["properties"])); diff != "" {
			t.Errorf("%s: fields (-code +document):\n%s", message, diff)
		}
		if diff := cmp.Diff(always, names(payload["required"])); diff != "" {
			t.Errorf("%s: fields that are always there (-code +document):\n%s", message, diff)
		}
	}
}

// names returns the keys of a mapping, or the texts of a list, as a set.
func names(v any) map[string]bool {
	set := map[string]bool{}
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			set[name] = true
		}
	case []any:
		for _, name := range v {
			set[name.(string)] = true
		}
	}
	return set
}

// TestClientFramesHaveTheFieldsOfTheDocument compares what the decoders look for
// with what the document lets clients send.
func TestClientFramesHaveTheFieldsOfTheDocument(t *testing.T) {
	t.Parallel()
	d := readDocument(t)
	file, err := parser.ParseFile(token.NewFileSet(), "client.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var read []map[string]bool // of the decoder of chat and inbox, then of the location's
	ast.Inspect(file, func(n ast.Node) bool {
		s, ok := n.(*ast.StructType)
		if !ok {
			return true
		}
		fields := map[string]bool{}
		for _, f := range s.Fields.List {
			if f.Tag != nil {
				name, _, _ := strings.Cut(reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json"), ",")
				fields[name] = true
			}
		}
		if len(fields) > 0 {
			read = append(read, fields)
		}
		return true
	})
	if len(read) != 2 {
		t.Fatalf("client.go has %d structs with JSON tags, want one for each endpoint", len(read))
	}
	for i, channels := range [][]string{{"chat", "inbox"}, {"location"}} {
		sent := map[string]bool{}
		for _, channel := range channels {
			for _, m := range d.at(t, "operations", "receive_"+channel)["messages"].([]any) {
				path := strings.Split(m.(map[string]any)["$ref"].(string), "/")
				message := d.at(t, "channels", channel, "messages", path[len(path)-1])["$ref"].(string)
				payload, _ := d.payload(t, message[strings.LastIndex(message, "/")+1:])
				maps.Copy(sent, names(payload["properties"]))
			}
		}
		if diff := cmp.Diff(read[i], sent); diff != "" {
			t.Errorf("%v: fields of client frames (-code +document):\n%s", channels, diff)
		}
	}
}

func TestTheDocumentsExamplesAreAccepted(t *testing.T) {
	t.Parallel()
	d := readDocument(t)
	n := 0
	for message, m := range d.at(t, "components", "messages") {
		examples, _ := m.(map[string]any)["examples"].([]any)
		for _, e := range examples {
			text, err := json.Marshal(e.(map[string]any)["payload"])
			if err != nil {
				t.Fatal(err)
			}
			if err := d.validate(t, message, text); err != nil {
				t.Errorf("%s: %s: %v", message, text, err)
			}
			if message == "send_position" {
				_, err = frame.DecodePosition(text)
			} else {
				_, err = frame.Decode(text)
			}
			if err != nil {
				t.Errorf("%s: the server refuses %s: %v", message, text, err)
			}
			n++
		}
	}
	if n < 8 {
		t.Errorf("%d examples only", n)
	}
}

// TestTheDocumentKnowsTheCloseCodes holds the two lists of codes and reasons that
// the document repeats.
func TestTheDocumentKnowsTheCloseCodes(t *testing.T) {
	t.Parallel()
	d := readDocument(t)
	var codes, reasons []string
	for _, r := range frame.Reasons {
		switch {
		case r.Code == frame.CodeNormal: // it needs no explanation
		case r.Code == frame.CodeRestart, r.Code == frame.CodeTryLater:
			reasons = append(reasons, r.Word)
		case !slices.Contains(codes, strconv.Itoa(r.Code)):
			codes = append(codes, strconv.Itoa(r.Code))
		}
	}
	list := func(message, property string) (all []string) {
		payload, _ := d.payload(t, message)
		schema := payload["properties"].(map[string]any)[property].(map[string]any)
		if of, ok := schema["anyOf"].([]any); ok {
			schema = of[0].(map[string]any)
		}
		for _, v := range schema["enum"].([]any) {
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, strings.Trim(string(text), `"`))
		}
		return all
	}
	if diff := cmp.Diff(codes, list("error", "close")); diff != "" {
		t.Errorf("close codes (-code +document):\n%s", diff)
	}
	if diff := cmp.Diff(reasons, list("reconnect", "reason")); diff != "" {
		t.Errorf("reasons to come back (-code +document):\n%s", diff)
	}
}
