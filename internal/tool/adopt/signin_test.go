package adopt_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/adopt"
)

// serve starts a replica and returns its address.
func serve(t *testing.T, databaseURL string) string {
	t.Helper()
	var o app.Options
	parser, err := kong.New(&o)
	if err != nil {
		t.Fatal(err)
	}
	redisURL, prefix := world.Redis(t)
	if _, err := parser.Parse([]string{
		"--listen=127.0.0.1:0", "--ops-listen=127.0.0.1:0", "--database-url=" + databaseURL, "--redis-url=" + redisURL,
		"--redis-prefix=" + prefix, "--jwt-secret=a secret of the tests with 32 bytes or more", "--shutdown-wait=0s", "--drain-timeout=3s",
	}); err != nil {
		t.Fatal(err)
	}
	a, err := app.New(o, "test", slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	stop, err := world.Run(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return "http://" + a.Addr()
}

var plain = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ask sends JSON, or nothing, and reads JSON.
func ask(t *testing.T, method, address, token string, body, into any) int {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	// Whether Redis is there yet is not the question: a replica that has just started says 503.
	for {
		r, err := http.NewRequestWithContext(t.Context(), method, address, bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := plain.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode == http.StatusServiceUnavailable && t.Context().Err() == nil {
			continue
		}
		if err := json.Unmarshal(answer, into); err != nil {
			t.Fatalf("%s: %s", address, answer)
		}
		return res.StatusCode
	}
}

type signedIn struct {
	AccessToken string `json:"access_token"`
}

// TestUsersOfThePredecessorSignInAndRead is the point of it all.
func TestUsersOfThePredecessorSignInAndRead(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]func(testing.TB) string{"dumped": dumped, "made by Django": real} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from := source(t)
			db, target := open(t)
			if report, err := adopt.Import(t.Context(), options(from), db); err != nil || report.Users.Added != 9 {
				t.Fatalf("%+v, %v", report, err)
			}
			base := serve(t, target)
			// A few alone: verifying Django's hashes takes the race detector seconds each.
			for identifier, want := range map[string][]string{
				"ANN@example.com": {"first", "second", "third ✓", ""},
				"+43660222":       {"first", "second", "third ✓", ""},
			} {
				password := "old password of ann"
				if identifier == "+43660222" {
					password = "old password of ben"
				}
				if diff := cmp.Diff(want, read(t, base, identifier, password, len(want))); diff != "" {
					t.Errorf("%s reads (-want +got):\n%s", identifier, diff)
				}
			}
			var got signedIn
			gone := map[string]string{"identifier": "gone@example.com", "password": "old password of gone"}
			if status := ask(t, http.MethodPost, base+"/login/", "", gone, &got); status != http.StatusUnauthorized {
				t.Errorf("a deactivated user: %d", status)
			}
		})
	}
}

// read signs somebody in and returns what was said in their conversation of n messages.
func read(t *testing.T, base, identifier, password string, n int) (texts []string) {
	t.Helper()
	var in signedIn
	if status := ask(t, http.MethodPost, base+"/login/", "", map[string]string{"identifier": identifier, "password": password}, &in); status != http.StatusOK {
		t.Fatalf("%s cannot sign in: %d", identifier, status)
	}
	var list struct {
		Conversations []struct {
			ID      string `json:"id"`
			LastSeq int    `json:"last_seq"`
		} `json:"conversations"`
	}
	ask(t, http.MethodGet, base+"/api/conversations/", in.AccessToken, nil, &list)
	for _, c := range list.Conversations {
		if c.LastSeq != n {
			continue
		}
		var page struct {
			Messages []struct {
				Message string `json:"message"`
			} `json:"messages"`
		}
		ask(t, http.MethodGet, base+"/api/conversations/"+c.ID+"/messages/", in.AccessToken, nil, &page)
		for _, m := range page.Messages {
			texts = append(texts, m.Message)
		}
	}
	return texts
}
