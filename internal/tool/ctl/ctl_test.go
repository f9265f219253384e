package ctl_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/inspect"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/ctl"
)

const token = "a token of the operators"

func TestTheFleetIsSeenThroughOneReplica(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	a, b := w.Pair(t, func(o *app.Options) { o.OpsToken = token })
	customer := a.Chat(t, world.Customer)
	b.Chat(t, world.Therapist)
	client := &ctl.Client{URL: "http://" + a.OpsAddr(), Token: token, User: "ann@laptop\x1b[31m"}
	text := func(print func(io.Writer) error) string {
		var b bytes.Buffer
		if err := print(&b); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	expect := func(text string, lines ...string) {
		t.Helper()
		for _, line := range lines {
			if !regexp.MustCompile("(?m)^" + line + "$").MatchString(text) {
				t.Errorf("no line %s in:\n%s", line, text)
			}
		}
	}
	world.Eventually(t, "both replicas answer", func() (bool, any) {
		list, err := client.Connections(t.Context(), url.Values{"sort": {"user"}})
		if err != nil || list.Total != 2 {
			return false, list
		}
		expect(text(func(out io.Writer) error { return ctl.PrintConnections(out, &list) }),
			`REF +REPLICA +USER .* STATE`, customer.Ref()+` +a +1 +customer +chat +1/2 +roomspa +Go-http-client/1.1 +127.0.0.1:\d+ +.* +0 +0 +0 +\d+ +open`, "2 of 2 sockets, 2 users, 2 replicas")
		return true, nil
	})
	top, err := client.Top(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	expect(text(func(out io.Writer) error { return ctl.PrintTop(out, &top) }), `..:..:..  2 sockets, 2 replicas`, `a +1 +.* +test`, `all +2 .*`)
	raised, err := client.Raise(t.Context(), url.Values{"user": {"1"}, "for": {"1m"}})
	if err != nil {
		t.Fatal(err)
	}
	expect(text(func(out io.Writer) error { return ctl.PrintRules(out, &raised, "none") }), `[0-9a-f]+ +debug +user=1 +(1m0s|59.*s) +127.0.0.1:\d+ \(ann@laptop\\x1b\[31m\) +a, b`)
	if ended, err := client.EndRules(t.Context(), url.Values{"all": {"true"}}); err != nil || len(ended.Rules) != 1 {
		t.Errorf("ended: %+v, %v", ended, err)
	}
	list, err := client.Rules(t.Context())
	if err != nil || len(list.Rules) != 0 || text(func(out io.Writer) error { return ctl.PrintRules(out, &list, "No level is raised.") }) != "No level is raised.\n" {
		t.Errorf("still raised: %+v, %v", list, err)
	}
	var traced bytes.Buffer
	enough := errors.New("enough")
	err = client.Trace(t.Context(), url.Values{"user": {"1"}, "for": {"30s"}}, func(line []byte) error {
		if err := ctl.PrintLine(&traced, line); err != nil {
			return err
		}
		if strings.Contains(traced.String(), "Trace started") {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatal(err)
	}
	expect(traced.String(), `\d\d:\d\d:\d\d\.\d{3}  a  `+customer.Ref()+`  user 1  chat 1/2  Socket traced  dialect=roomspa  role=customer`)
	closed, err := client.Close(t.Context(), url.Values{"user": {"1"}})
	if err != nil {
		t.Fatal(err)
	}
	expect(text(func(out io.Writer) error { return ctl.PrintClosed(out, &closed) }), `Closed 1 sockets with 1012 closed_by_operator \(a: 1, b: 0\)\. Their clients reconnect\.`)
	customer.ExpectRefusal(t, 1012, "closed_by_operator")
}

func TestWhyThereIsNoAnswer(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a", func(o *app.Options) { o.OpsToken = token })
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	for name, test := range map[string]struct {
		client ctl.Client
		query  url.Values
		want   string
	}{
		"no token":        {ctl.Client{URL: "http://" + r.OpsAddr()}, nil, "ops_token_required: .*roomspa ctl take it as --ops-token"},
		"another token":   {ctl.Client{URL: "http://" + r.OpsAddr(), Token: "x"}, nil, "ops_token_required: "},
		"nobody":          {ctl.Client{URL: "http://127.0.0.1:1"}, nil, "connection refused; give --ops .*kubectl port-forward"},
		"something else":  {ctl.Client{URL: other.URL}, nil, "answered 404 without a reason: is it the address of an ops listener"},
		"public listener": {ctl.Client{URL: "http://" + r.Addr()}, nil, "cannot do this: it is a replica of an earlier release, or a public listener"},
		"wrong filter":    {ctl.Client{URL: "http://" + r.OpsAddr(), Token: token}, url.Values{"user": {"x"}}, "bad_parameter: user: "},
	} {
		if _, err := test.client.Connections(t.Context(), test.query); err == nil || !regexp.MustCompile(test.want).MatchString(err.Error()) || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v", name, err)
		}
		if err := test.client.Trace(t.Context(), cmpQuery(test.query), func([]byte) error { return nil }); err == nil || !regexp.MustCompile(test.want).MatchString(err.Error()) {
			t.Errorf("trace, %s: %v", name, err)
		}
	}
	for _, address := range []string{"", "127.0.0.1:9090", "ftp://x", "http://", ":"} {
		if err := (&ctl.Client{URL: address}).Valid(); err == nil {
			t.Errorf("%q is a URL", address)
		}
	}
}

func cmpQuery(q url.Values) url.Values {
	if q == nil {
		return url.Values{"user": {"1"}}
	}
	return q
}

func TestWatchRefreshesInPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var out bytes.Buffer
		n := 0
		err := ctl.Watch(ctx, &out, true, time.Second, func(w io.Writer) error {
			if n++; n == 3 {
				cancel()
			}
			_, _ = io.WriteString(w, "line\n")
			if n == 2 {
				return errors.New("no answer")
			}
			return nil
		})
		if want := "\x1b[H\x1b[Jline\x1b[K\n\x1b[J\x1b[Hline\x1b[K\nno answer\x1b[K\n\x1b[J"; err != nil || out.String() != want {
			t.Errorf("printed %q, want %q; %v", &out, want, err)
		}
		failed := errors.New("no answer")
		if err := ctl.Watch(t.Context(), &out, false, time.Second, func(io.Writer) error { return failed }); !errors.Is(err, failed) {
			t.Errorf("the first one fails: %v", err)
		}
	})
}

func TestWhatReplicasSayCannotDisturbATerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := inspect.Connections{Fleet: inspect.Fleet{Missing: []inspect.Missing{{Replica: "x\x1b[2J", Why: "y\r\n"}}}, Connections: []inspect.Connection{{Client: "evil\x1b[31m\nline", Address: "a\u202eb"}}}
	if err := ctl.PrintConnections(&out, &c); err != nil {
		t.Fatal(err)
	}
	if err := ctl.PrintLine(&out, []byte(`{"event":"E\u001b[31m","fields":{"a":"b\u001b[31m"}}`)); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.ContainsAny(text, "\x1b\r\u202e") || strings.Contains(text, "\nline") {
		t.Errorf("printed %q", text)
	}
}

func TestOnlyYesIsYes(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, "": false, "\n": false, "n\n": false, "yesterday\n": false, "y": true} {
		if got, err := ctl.Confirm(strings.NewReader(answer), io.Discard, "?"); got != want || err != nil {
			t.Errorf("%q: %v, %v", answer, got, err)
		}
	}
}
