package api_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/argon2"

	"github.com/roomspa/roomspa/internal/api"
	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
)

const (
	secret   = "a-secret-of-the-tests-and-of-nothing-else"
	password = "correct horse battery staple"
	ref      = "0123456789abcdef"
)

// A store has one account, and nothing else of a store.
type store struct {
	*account
	rest
}

type rest struct{ api.Store }

// account is the one stored user.
type account struct {
	user     room.User
	hash     string
	fails    error // of Credentials
	readOnly error // of ReplaceHash
	view     bool
	replaced string
}

func (a *account) Credentials(_ context.Context, identifier string) (room.User, string, error) {
	switch {
	case a.fails != nil:
		return room.User{}, "", a.fails
	case identifier != a.user.Email && identifier != a.user.Phone:
		return room.User{}, "", fmt.Errorf("credentials: %w", room.ErrNotFound)
	}
	return a.user, a.hash, nil
}

func (a *account) UsersAreView(context.Context) (bool, error) { return a.view, nil }

func (a *account) ReplaceHash(_ context.Context, id room.UserID, old, replacement string) error {
	if id != a.user.ID || old != a.hash {
		return errors.New("another hash stands there")
	}
	if a.readOnly == nil {
		a.replaced = replacement
	}
	return a.readOnly
}

// oldHash is cheap to verify, and so wants upgrading.
func oldHash() string {
	salt := []byte("salt-of-16-bytes")
	enc := base64.RawStdEncoding.EncodeToString
	return "$argon2id$v=19$m=64,t=1,p=1$" + enc(salt) + "$" + enc(argon2.IDKey([]byte(password), salt, 1, 64, 1, 32))
}

func someone() *account {
	return &account{hash: oldHash(), user: room.User{
		ID: 7, Email: "user@example.com", Phone: "+4366012345", Role: room.Customer, Active: true,
	}}
}

// login is a handler over one account, and its log.
type login struct {
	handler http.Handler
	keys    *auth.Keys
	log     bytes.Buffer
}

func newLogin(t *testing.T, a *account, passwords *auth.Passwords) *login {
	t.Helper()
	keys, err := auth.NewKeys([]string{secret})
	if err != nil {
		t.Fatal(err)
	}
	l := &login{keys: keys}
	l.handler = api.New(loginOptions(a, cmp.Or(passwords, auth.NewPasswords(2, 32)), keys), slog.New(slog.NewTextHandler(&l.log, nil)), nil)
	return l
}

func loginOptions(a *account, passwords *auth.Passwords, keys *auth.Keys) api.Options {
	return api.Options{
		Store: store{account: a}, Passwords: passwords, Keys: keys, LoginWait: time.Minute,
		AccessTTL: 5 * time.Minute, RefreshTTL: 7 * 24 * time.Hour,
		Who: func(*http.Request) (string, string) { return ref, "192.0.2.1" },
	}
}

func (l *login) do(r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	l.handler.ServeHTTP(w, r)
	return w.Result()
}

func post(t *testing.T, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

func with(identifier, password string) string {
	body, _ := json.Marshal(map[string]string{"identifier": identifier, "password": password})
	return string(body)
}

func decode(t *testing.T, res *http.Response) map[string]any {
	t.Helper()
	defer func() { _ = res.Body.Close() }()
	var got map[string]any
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestLoginSignsIn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, identifier, contentType string }{
		{"by e-mail address", "user@example.com", "application/json"},
		{"by phone number", "+4366012345", "application/json; charset=utf-8"},
		{"with a space that the keyboard added", "user@example.com ", "Application/JSON"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := someone()
			l := newLogin(t, a, nil)
			r := post(t, with(tt.identifier, password))
			r.Header.Set("Content-Type", tt.contentType)
			res := l.do(r)
			got := decode(t, res)
			if res.StatusCode != http.StatusOK || res.Header.Get("Cache-Control") != "no-store" ||
				res.Header.Get("Content-Type") != "application/json" || res.Header.Get("Roomspa-Ref") != ref {
				t.Errorf("status %d, header %v", res.StatusCode, res.Header)
			}
			access, _ := got["access_token"].(string)
			refresh, _ := got["refresh_token"].(string)
			want := map[string]any{
				"access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": 300.0,
				"user": map[string]any{"id": 7.0, "email": "user@example.com", "role": "customer"},
			}
			if diff := gocmp.Diff(want, got); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			checkTokens(t, l.keys, access, refresh)
			l.logged(t, "INFO", `"[Login] Signed in: user 7"`)
		})
	}
}

func checkTokens(t *testing.T, keys *auth.Keys, access, refresh string) {
	t.Helper()
	claims, err := keys.Verify(access, time.Now())
	if err != nil || claims.UserID != 7 || claims.ExpiresAt.Sub(claims.IssuedAt) != 5*time.Minute {
		t.Errorf("access token of %+v, error %v", claims, err)
	}
	_, err = keys.Verify(refresh, time.Now())
	if refusal, ok := errors.AsType[*auth.Refusal](err); !ok || refusal.Word != "wrong_type" {
		t.Errorf("refresh token as an access token: %v", err)
	}
}

// logged looks for one line, and that no line holds what none may.
func (l *login) logged(t *testing.T, level, msg string) {
	t.Helper()
	got := l.log.String()
	found := false
	for line := range strings.Lines(got) {
		found = found || strings.Contains(line, "level="+level+" msg="+msg+" component=Login ref="+ref+" remote=192.0.2.1")
	}
	if !found {
		t.Errorf("no line %s %s in\n%s", level, msg, got)
	}
	for _, never := range []string{password, "wrong pass", "user@example.com", "nobody@", "4366012345", "eyJ", "$argon2id", "hunter2"} {
		if strings.Contains(got, never) {
			t.Errorf("the log holds %s:\n%s", never, got)
		}
	}
}

func TestLoginGivesOneAnswerToAllWhoAreRefused(t *testing.T) {
	t.Parallel()
	inactive := func(a *account) { a.user.Active = false }
	for _, tt := range []struct {
		name       string
		identifier string
		password   string
		stored     func(*account)
		level, log string
	}{
		{"an unknown user", "nobody@example.com", password, nil, "WARN", `"[Login] Refused: unknown_user, identifier n***@example.com"`},
		{"a password in the wrong field", "hunter2@x", password, nil, "WARN", `"[Login] Refused: unknown_user, identifier h***"`},
		{"a wrong password", "user@example.com", "wrong pass", nil, "WARN", `"[Login] Refused: wrong_password, user 7"`},
		{"an inactive user", "user@example.com", password, inactive, "WARN", `"[Login] Refused: user_inactive, user 7"`},
		{"an inactive user with a wrong password", "user@example.com", "wrong pass", inactive, "WARN", `"[Login] Refused: wrong_password, user 7"`},
		{"an unusable password", "user@example.com", password, func(a *account) { a.hash = "!" }, "WARN", `"[Login] Refused: wrong_password, user 7"`},
		{"a hash that cannot be read", "user@example.com", password, func(a *account) { a.hash = "md5$x" }, "ERROR", `"[Login] Refused: unreadable_hash, user 7"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := someone()
			if tt.stored != nil {
				tt.stored(a)
			}
			l := newLogin(t, a, nil)
			res := l.do(post(t, with(tt.identifier, tt.password)))
			want := map[string]any{
				"type": "about:blank", "title": "Unauthorized", "status": 401.0, "code": "bad_credentials", "ref": ref,
				"detail": "The identifier or the password is wrong, or the account is not active.",
			}
			if diff := gocmp.Diff(want, decode(t, res)); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			wantHeader := http.Header{
				"Cache-Control": {"no-store"}, "Content-Type": {"application/problem+json"}, "Roomspa-Ref": {ref},
				"Vary":             {"Origin"},
				"Www-Authenticate": {`Bearer realm="roomspa"`}, "X-Content-Type-Options": {"nosniff"}, "Content-Length": res.Header["Content-Length"],
			}
			if diff := gocmp.Diff(wantHeader, res.Header); res.StatusCode != 401 || diff != "" {
				t.Errorf("status %d, header (-want +got):\n%s", res.StatusCode, diff)
			}
			if a.replaced != "" {
				t.Error("the hash was replaced")
			}
			l.logged(t, tt.level, tt.log)
		})
	}
}

func TestLoginRefusesWhatIsNoSignIn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		method string
		media  string
		body   string
		status int
		code   string
		detail string // a part of it
	}{
		{"a GET", http.MethodGet, "", "", 405, "method_not_allowed", "POST"},
		{"a form without a password", "", "application/x-www-form-urlencoded", "identifier=a", 400, "bad_field", "password is missing"},
		{"a form that is none", "", "application/x-www-form-urlencoded", "identifier=%", 400, "bad_form", "Content-Type"},
		{"a form that is not UTF-8", "", "application/x-www-form-urlencoded", "identifier=a&password=%ff", 400, "bad_form", "UTF-8"},
		{"a form with NUL", "", "application/x-www-form-urlencoded", "identifier=a%00&password=x", 400, "bad_field", "control character"},
		{"a form of more than 4 KiB", "", "application/x-www-form-urlencoded", "password=" + strings.Repeat("b", 4096), 413, "too_large", "4096 bytes"},
		{"a multipart form without a boundary", "", "multipart/form-data", "identifier=a", 400, "bad_form", "Content-Type"},
		{"a multipart form that ends early", "", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"identifier\"\r\n\r\na", 400, "bad_form", "Content-Type"},
		{"a form by GET", http.MethodGet, "application/x-www-form-urlencoded", "identifier=a&password=b", 405, "method_not_allowed", "POST"},
		{"text", "", "text/plain", "identifier=a", 415, "not_json", "Content-Type: application/json"},
		{"no Content-Type", "", "-", with("a", "b"), 415, "not_json", "Content-Type: application/json"},
		{"a body of more than 4 KiB", "", "", with("a", strings.Repeat("b", 4096)), 413, "too_large", "4096 bytes"},
		{"no body", "", "", "", 400, "bad_json", "JSON object"},
		{"no JSON", "", "", "{identifier", 400, "bad_json", "JSON object"},
		{"a list", "", "", "[]", 400, "bad_json", "JSON object"},
		{"something behind it", "", "", with("a", "b") + "{}", 400, "bad_json", "nothing after it"},
		{"not UTF-8", "", "", "{\"identifier\":\"\xff\"}", 400, "bad_json", "UTF-8"},
		{"null", "", "", "null", 400, "bad_field", "identifier is missing"},
		{"no identifier", "", "", `{"password":"x"}`, 400, "bad_field", "identifier is missing"},
		{"an identifier of spaces", "", "", with("  ", "x"), 400, "bad_field", "identifier is missing"},
		{"an identifier that is a number", "", "", `{"identifier":5,"password":"x"}`, 400, "bad_field", "identifier must be a string, got number"},
		{"an identifier that no store could hold", "", "", with("a\x00b", "x"), 400, "bad_field", "control character"},
		{"half a surrogate pair in the identifier", "", "", `{"identifier":"\ud800","password":"x"}`, 400, "bad_field", "U+FFFD"},
		{"a long identifier", "", "", with(strings.Repeat("a", 255), "x"), 400, "bad_field", "254 bytes"},
		{"no password", "", "", `{"identifier":"a"}`, 400, "bad_field", "password is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := newLogin(t, someone(), nil)
			r := post(t, tt.body)
			r.Method = cmp.Or(tt.method, http.MethodPost)
			if tt.media != "" {
				r.Header.Set("Content-Type", tt.media)
			}
			res := l.do(r)
			got := decode(t, res)
			detail, _ := got["detail"].(string)
			if res.StatusCode != tt.status || got["code"] != tt.code || !strings.Contains(detail, tt.detail) || got["ref"] != ref {
				t.Errorf("status %d, answer %v", res.StatusCode, got)
			}
			if allow := res.Header.Get("Allow"); (allow == "POST") != (tt.status == 405) {
				t.Errorf("Allow: %q", allow)
			}
			cause := tt.code
			if field, ok := got["field"].(string); ok {
				cause += " " + field
			}
			l.logged(t, "WARN", `"[Login] Refused: `+cause+`"`)
		})
	}
}

func TestLoginSaysWhenItCannotTell(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		fails      error
		status     int
		code       string
		retryAfter string
	}{
		{"the store is away", fmt.Errorf("%w: connection refused", room.ErrUnavailable), 503, "database_unavailable", "5"},
		{"the store has a fault", errors.New("no such column"), 500, "internal", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := someone()
			a.fails = tt.fails
			l := newLogin(t, a, nil)
			res := l.do(post(t, with("user@example.com", password)))
			got := decode(t, res)
			if res.StatusCode != tt.status || got["code"] != tt.code || res.Header.Get("Retry-After") != tt.retryAfter {
				t.Errorf("status %d, answer %v, header %v", res.StatusCode, got, res.Header)
			}
			if strings.Contains(fmt.Sprint(got), tt.fails.Error()) {
				t.Errorf("the answer %v tells of the inside", got)
			}
			l.logged(t, "ERROR", `"[Login] Refused: `+tt.code+`, identifier u***@example.com"`)
		})
	}
}

func TestLoginUpgradesAnOldHash(t *testing.T) {
	t.Parallel()
	a := someone()
	l := newLogin(t, a, nil)
	if res := l.do(post(t, with("user@example.com", password))); res.StatusCode != 200 {
		t.Fatalf("status %d", res.StatusCode)
	}
	ok, upgrade, err := auth.NewPasswords(1, 32).Verify(t.Context(), auth.Client{}, a.replaced, password)
	if !ok || upgrade || err != nil {
		t.Errorf("the new hash %s: ok %v, upgrade %v, error %v", a.replaced, ok, upgrade, err)
	}
	l.logged(t, "INFO", `"[Login] Password hash upgraded: user 7"`)

	a.hash, a.replaced = a.replaced, ""
	if res := l.do(post(t, with("user@example.com", password))); res.StatusCode != 200 || a.replaced != "" {
		t.Errorf("status %d, and a new hash was replaced by %q", res.StatusCode, a.replaced)
	}
}

func TestLoginIsGoodWithoutTheUpgrade(t *testing.T) {
	t.Parallel()
	a := someone()
	a.readOnly = errors.New("the table is a view")
	l := newLogin(t, a, nil)
	if res := l.do(post(t, with("user@example.com", password))); res.StatusCode != 200 {
		t.Errorf("status %d", res.StatusCode)
	}
	l.logged(t, "ERROR", `"[Login] Password hash not upgraded: user 7"`)
	l.logged(t, "INFO", `"[Login] Signed in: user 7"`)
}
