package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/roomspa/roomspa/internal/api"
	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// An openAPI is docs/openapi.yaml.
type openAPI struct {
	root    map[string]any
	schemas *jsonschema.Compiler
	unseen  map[string]bool // documented answers that nothing has given yet
}

func readOpenAPI(t *testing.T) *openAPI {
	t.Helper()
	text, err := os.ReadFile("../../docs/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var raw any
	if err := yaml.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(raw) // anchors resolved, numbers as JSON has them
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(asJSON)))
	if err != nil {
		t.Fatal(err)
	}
	d := &openAPI{root: doc.(map[string]any), schemas: jsonschema.NewCompiler(), unseen: map[string]bool{}}
	d.schemas.AssertFormat()
	if err := d.schemas.AddResource("openapi.json", doc); err != nil {
		t.Fatal(err)
	}
	for path, item := range d.root["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			for status := range op.(map[string]any)["responses"].(map[string]any) {
				if status != "default" { // what no test can bring about
					d.unseen[strings.ToUpper(method)+" "+path+" "+status] = true
				}
			}
		}
	}
	return d
}

// at follows a pointer, and the reference that stands there.
func (d *openAPI) at(pointer ...string) (map[string]any, []string) {
	var v any = d.root
	for _, name := range pointer {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, nil
		}
		v = m[name]
	}
	m, _ := v.(map[string]any)
	if ref, ok := m["$ref"].(string); ok {
		return d.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	}
	return m, pointer
}

// valid holds a value to the schema at a pointer.
func (d *openAPI) valid(t *testing.T, v any, pointer []string) error {
	t.Helper()
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")
	parts := make([]string, len(pointer))
	for i, p := range pointer {
		parts[i] = escape.Replace(p)
	}
	s, err := d.schemas.Compile("openapi.json#/" + strings.Join(parts, "/"))
	if err != nil {
		t.Fatal(err)
	}
	return s.Validate(v)
}

// holds checks an answer against what is documented for its path, method and status.
func (d *openAPI) holds(t *testing.T, method, path string, res *http.Response, body []byte) {
	t.Helper()
	status := strconv.Itoa(res.StatusCode)
	what := method + " " + path + " " + status
	response, pointer := d.at("paths", path, strings.ToLower(method), "responses", status)
	if response == nil {
		t.Errorf("%s is not documented: %s", what, body)
		return
	}
	delete(d.unseen, what)
	headers, _ := response["headers"].(map[string]any)
	for name := range headers {
		_, at := d.at(append(slices.Clone(pointer), "headers", name)...)
		if err := d.valid(t, res.Header.Get(name), append(at, "schema")); err != nil {
			t.Errorf("%s: header %s: %v", what, name, err)
		}
	}
	media := res.Header.Get("Content-Type")
	content, _ := response["content"].(map[string]any)
	if content == nil {
		if len(body) > 0 {
			t.Errorf("%s has a body: %s", what, body)
		}
		return
	}
	if content[media] == nil {
		t.Errorf("%s has the content type %q", what, media)
		return
	}
	v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(body)))
	if err == nil {
		err = d.valid(t, v, append(slices.Clone(pointer), "content", media, "schema"))
	}
	if err != nil {
		t.Errorf("%s: %v\n%s", what, err, body)
	}
}

func TestOpenAPIAndTheCodeHoldEachOther(t *testing.T) {
	t.Parallel()
	d, w := readOpenAPI(t), world.New(t)
	paths := slices.Sorted(maps.Keys(d.root["paths"].(map[string]any)))
	if diff := cmp.Diff(slices.Sorted(slices.Values(api.Paths)), paths); diff != "" {
		t.Fatalf("paths (-code +document):\n%s", diff)
	}
	conversation := storeMessages(t, w, room.Room{Customer: world.Customer, Therapist: world.Therapist}, 3).String()
	storeMessages(t, w, room.Room{Customer: world.Customer, Therapist: world.OtherTherapist}, 0)
	r := w.Ready(t, "a", func(o *app.Options) { o.LoginPerAccountAddress = 5 })
	away := w.Start(t, "b", func(o *app.Options) { o.DatabaseURL = "postgres://nobody@127.0.0.1:1/none" })

	concrete := strings.NewReplacer("{conversation_id}", conversation, "{user_id}", "2", "{customer_id}", "1", "{therapist_id}", "2")
	call := func(r *world.Replica, method, path, query, token, body string) []byte {
		t.Helper()
		res, answer := r.Request(t, method, concrete.Replace(path)+query, token, body, "Content-Type", "application/json")
		d.holds(t, method, path, res, answer)
		return answer
	}
	own := w.Token(t, world.Customer)
	const list, messages = "/api/conversations/", "/api/conversations/{conversation_id}/messages/"
	const receipts, unread = "/api/conversations/{conversation_id}/receipts/", "/api/unread/"

	good := fmt.Sprintf(`{"identifier":"user%d@example.com","password":%q}`, world.Customer, world.Password)
	var tokens world.Answer
	if err := json.Unmarshal(call(r, "POST", "/login/", "", "", good), &tokens); err != nil {
		t.Fatal(err)
	}
	refresh := fmt.Sprintf(`{"refresh_token":%q}`, tokens.Refresh)
	call(r, "POST", "/token/refresh/", "", "", refresh)
	call(away, "POST", "/token/refresh/", "", "", refresh)
	call(away, "POST", "/logout/", "", "", refresh)
	call(r, "POST", "/logout/", "", "", refresh)
	for _, path := range []string{"/login/", "/token/refresh/", "/logout/"} {
		call(r, "POST", path, "", "", "{")
		call(r, "POST", path, "", "", `{}`)
		call(r, "POST", path, "", "", `{"identifier":"nobody@example.com","password":"x","refresh_token":"x"}`)
		call(r, "POST", path, "", "", `"`+strings.Repeat("a", 10_000)+`"`)
		res, body := r.Request(t, "POST", path, "", "x=y", "Content-Type", "text/plain")
		d.holds(t, "POST", path, res, body)
	}
	call(away, "POST", "/login/", "", "", good)
	for d.unseen["POST /login/ 429"] && !t.Failed() {
		call(r, "POST", "/login/", "", "", `{"identifier":"nobody@example.com","password":"x"}`)
	}
	call(r, "POST", "/api/ticket/", "", "", "")
	call(away, "POST", "/api/ticket/", "", own, "")
	for d.unseen["POST /api/ticket/ 429"] && !t.Failed() {
		call(r, "POST", "/api/ticket/", "", own, "")
	}
	for _, path := range []string{list, messages} {
		call(r, "GET", path, "", own, "")
		call(r, "GET", path, "?limit=1", own, "")
		call(r, "GET", path, "?limit=0", own, "")
		call(r, "GET", path, "", "", "")
		call(r, "GET", path, "", own+"x", "")
		call(away, "GET", path, "", own, "")
	}
	for _, body := range []string{`{"delivered_seq":3,"read_seq":2}`, `{"read_seq":4}`, `{}`, `{"read_seq":"1"}`, `"` + strings.Repeat("a", 10_000) + `"`} {
		call(r, "POST", receipts, "", own, body)
	}
	call(r, "POST", receipts, "", "", `{"read_seq":1}`)
	call(away, "POST", receipts, "", own, `{"read_seq":1}`)
	call(r, "POST", receipts, "", w.Token(t, world.OtherCustomer), `{"read_seq":1}`)
	call(r, "POST", receipts, "", w.Token(t, world.Support), `{"read_seq":1}`)
	res, text := r.Request(t, "POST", concrete.Replace(receipts), own, "x=y", "Content-Type", "text/plain")
	d.holds(t, "POST", receipts, res, text)
	call(r, "GET", unread, "", own, "")
	call(r, "GET", unread, "", "", "")
	call(away, "GET", unread, "", own, "")
	call(r, "GET", list, "?user_id=2", own, "")
	call(r, "GET", list, "?user_id=1", w.Token(t, world.Support), "")
	call(r, "GET", messages, "", w.Token(t, world.OtherCustomer), "")

	const block, report = "/api/users/{user_id}/block/", "/api/reports/"
	good = fmt.Sprintf(`{"conversation_id":%q,"seq":1,"reason":"spam","text":"look"}`, conversation)
	for _, method := range []string{"POST", "DELETE"} {
		call(r, method, block, "", own, "")
		call(r, method, block, "", "", "")
		call(r, method, block, "", w.Token(t, world.Therapist), "") // themselves
		call(r, method, block, "", w.Token(t, world.Support), "")
		call(r, method, block, "", w.Token(t, world.OtherCustomer), "")
		call(away, method, block, "", own, "")
	}
	call(r, "POST", report, "", own, good)
	for _, body := range []string{`{`, `{}`, strings.Replace(good, `"seq":1`, `"seq":99`, 1), `"` + strings.Repeat("a", 60_000) + `"`} {
		call(r, "POST", report, "", own, body)
	}
	call(r, "POST", report, "", "", good)
	call(r, "POST", report, "", w.Token(t, world.Support), good)
	call(away, "POST", report, "", own, good)
	res, body := r.Request(t, "POST", report, own, good, "Content-Type", "text/plain")
	d.holds(t, "POST", report, res, body)
	for (d.unseen["POST "+block+" 429"] || d.unseen["DELETE "+block+" 429"] || d.unseen["POST "+report+" 429"]) && !t.Failed() {
		call(r, "POST", block, "", own, "")
		call(r, "DELETE", block, "", own, "")
		call(r, "POST", report, "", own, good)
	}

	const position = "/api/location/{customer_id}/{therapist_id}/"
	for _, body := range []string{
		`{"latitude":1,"longitude":2}`, `{"positions":[{"latitude":1,"longitude":2},{"latitude":91}]}`, `{}`, `{"positions":[]}`, `"` + strings.Repeat("a", 70_000) + `"`,
	} {
		call(r, "POST", position, "", own, body)
	}
	call(r, "POST", position, "", "", `{}`)
	call(r, "POST", position, "", w.Token(t, world.OtherCustomer), `{}`)
	call(away, "POST", position, "", own, `{}`)
	res, body = r.Request(t, "POST", concrete.Replace(position), own, "x=y", "Content-Type", "text/plain")
	d.holds(t, "POST", position, res, body)

	for answer := range d.unseen {
		t.Errorf("documented, but nothing is answered like that: %s", answer)
	}
	for _, path := range paths {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			op, _ := d.at("paths", path, strings.ToLower(method))
			res, body := r.Request(t, method, concrete.Replace(path), own, "{}", "Content-Type", "application/json")
			if (res.StatusCode == http.StatusMethodNotAllowed) != (op == nil) {
				t.Errorf("%s %s is answered %d: %s", method, path, res.StatusCode, body)
			}
			if res.StatusCode == http.StatusNoContent {
				continue
			}
			v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(body)))
			if err == nil && op == nil {
				err = d.valid(t, v, []string{"components", "schemas", "Problem"})
			}
			if err != nil || op == nil && res.Header.Get("Allow") == "" {
				t.Errorf("%s %s: %v, %v", method, path, res.Header, err)
			}
		}
	}
}

// TestOpenAPIAndAsyncAPIHaveTheSameMessage compares the members of both.
func TestOpenAPIAndAsyncAPIHaveTheSameMessage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/asyncapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var frames struct {
		Components struct {
			Schemas map[string]struct {
				Required   []string       `yaml:"required"`
				Properties map[string]any `yaml:"properties"`
			} `yaml:"schemas"`
		} `yaml:"components"`
	}
	if err := yaml.Unmarshal(text, &frames); err != nil {
		t.Fatal(err)
	}
	message, _ := readOpenAPI(t).at("components", "schemas", "Message")
	var required []string
	for _, name := range message["required"].([]any) {
		required = append(required, name.(string))
	}
	frame := frames.Components.Schemas["chat_message"]
	if diff := cmp.Diff(frame.Required, required); diff != "" {
		t.Errorf("required (-frame +answer):\n%s", diff)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(frame.Properties)), slices.Sorted(maps.Keys(message["properties"].(map[string]any)))); diff != "" {
		t.Errorf("members (-frame +answer):\n%s", diff)
	}
}
