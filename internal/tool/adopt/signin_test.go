package adopt_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/adopt"
)

// TestUsersOfThePredecessorSignInAndRead is the purpose of an import.
func TestUsersOfThePredecessorSignInAndRead(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]func(testing.TB) string{"dumped": dumped, "made by Django": real} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from := source(t)
			w := world.NewWith(t, world.Migrate)
			if report, err := adopt.Import(t.Context(), options(from), w.OpenPostgres(t)); err != nil || report.Users.Added != 9 {
				t.Fatalf("%+v, %v", report, err)
			}
			r := w.Ready(t, "a")
			// Two are enough: verifying Django's hashes takes seconds.
			for identifier, password := range map[string]string{"ANN@example.com": "old password of ann", "+43660222": "old password of ben"} {
				in := login(t, r, identifier, password)
				if in.Status != http.StatusOK {
					t.Fatalf("%s cannot sign in: %+v", identifier, in)
				}
				want := []string{"first", "second", "third ✓", ""}
				if diff := cmp.Diff(want, read(t, r, in.Access, len(want))); diff != "" {
					t.Errorf("%s reads (-want +got):\n%s", identifier, diff)
				}
			}
			if gone := login(t, r, "gone@example.com", "old password of gone"); gone.Status != http.StatusUnauthorized {
				t.Errorf("a deactivated user: %+v", gone)
			}
		})
	}
}

func login(t *testing.T, r *world.Replica, identifier, password string) world.Answer {
	t.Helper()
	return r.Post(t, "/login/", world.Object{"identifier": identifier, "password": password})
}

// read returns the texts of the conversation with n messages.
func read(t *testing.T, r *world.Replica, token string, n int) (texts []string) {
	t.Helper()
	get := func(path string, into any) {
		if _, body := r.Request(t, http.MethodGet, "/api/conversations/"+path, token, ""); json.Unmarshal(body, into) != nil {
			t.Fatalf("%s: %s", path, body)
		}
	}
	var list struct {
		Conversations []struct {
			ID      string
			LastSeq int `json:"last_seq"`
		}
	}
	get("", &list)
	for _, c := range list.Conversations {
		if c.LastSeq != n {
			continue
		}
		var page struct{ Messages []struct{ Message string } }
		get(c.ID+"/messages/", &page)
		for _, m := range page.Messages {
			texts = append(texts, m.Message)
		}
	}
	return texts
}
