package api_test

import (
	"bytes"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// multipartForm returns a form with fields in their order, and its Content-Type.
func multipartForm(t *testing.T, fields ...string) (body, media string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(fields); i += 2 {
		if err := w.WriteField(fields[i], fields[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	file, err := w.CreateFormFile("picture", "a.png")
	if err == nil {
		_, err = file.Write([]byte("a picture"))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), w.FormDataContentType()
}

func TestLoginTakesForms(t *testing.T) {
	t.Parallel()
	encoded := func(fields ...string) (body, media string) {
		for i := 0; i < len(fields); i += 2 {
			body += "&" + url.QueryEscape(fields[i]) + "=" + url.QueryEscape(fields[i+1])
		}
		return body[1:], "application/x-www-form-urlencoded; charset=utf-8"
	}
	for name, form := range map[string]func(fields ...string) (body, media string){
		"URL-encoded": encoded,
		"multipart":   func(fields ...string) (string, string) { return multipartForm(t, fields...) },
	} {
		for what, c := range map[string]struct {
			fields []string
			status int
		}{
			"the last of two fields":            {[]string{"identifier", "x", "identifier", " user@example.com ", "password", password, "everywhere", "true"}, 200},
			"a phone number whose + is a blank": {[]string{"identifier", " 4366012345", "password", password}, 401},
			"an identifier of blanks":           {[]string{"identifier", "  ", "password", password}, 400},
		} {
			body, media := form(c.fields...)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login/", strings.NewReader(body))
			r.Header.Set("Content-Type", media)
			if res := newLogin(t, someone(), nil).do(r); res.StatusCode != c.status {
				t.Errorf("%s, %s: %d %v", name, what, res.StatusCode, decode(t, res))
			}
		}
	}
}

// TestJSONIsReadHoweverItIsDeclared: curl -d declares a form.
func TestJSONIsReadHoweverItIsDeclared(t *testing.T) {
	t.Parallel()
	for media, status := range map[string]int{
		"application/x-www-form-urlencoded": 200, "application/json;charset=UTF-8": 200, "application/json; charset=": 200, "Application/JSON;": 200,
		"application/json; charset=utf-8; charset=utf-8": 200, "application/vnd.api+json": 200, "text/json": 200,
		"text/plain": 415, "": 415, "application/jsonp": 415, "image/svg+json": 415,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login/",
			strings.NewReader("\ufeff {\"identifier\": \"\u200buser@example.com\u00a0\", \"password\": \""+password+"\"}"))
		r.Header.Set("Content-Type", media)
		if res := newLogin(t, someone(), nil).do(r); res.StatusCode != status {
			t.Errorf("%q: %d %v", media, res.StatusCode, decode(t, res))
		}
	}
}

func TestTokensAreRefreshedAndRevokedByForms(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	r := w.Ready(t, "a")
	ask := func(path, body, media string) int {
		t.Helper()
		res, _ := r.Request(t, http.MethodPost, path, "", body, "Content-Type", media)
		return res.StatusCode
	}
	token := func() string { return r.Login(t, world.Customer, world.Password).Expect(t, 200, "").Refresh }
	const encoded = "application/x-www-form-urlencoded"
	first := token()
	if status := ask("/token/refresh/", "refresh_token="+first, encoded); status != 200 {
		t.Errorf("refreshed: %d", status)
	}
	body, media := multipartForm(t, "refresh_token", token())
	if status := ask("/token/refresh/", body, media); status != 200 {
		t.Errorf("refreshed by a multipart form: %d", status)
	}
	if status := ask("/logout/", "refresh_token="+first, encoded); status != 204 {
		t.Errorf("signed out: %d", status)
	}
	socket, second := r.Chat(t, world.Customer), token()
	if status := ask("/logout/", "everywhere=false&refresh_token="+first, encoded); status != 204 {
		t.Errorf("signed out again: %d", status)
	}
	socket.ExpectNothing(t)
	body, media = multipartForm(t, "refresh_token", second, "everywhere", "true")
	if status := ask("/logout/", body, media); status != 204 {
		t.Errorf("signed out everywhere: %d", status)
	}
	socket.ExpectRefusal(t, 4001, "token_revoked")
}

func TestAUserWithoutAnAddressSignsIn(t *testing.T) {
	t.Parallel()
	a := someone()
	a.user.Email = ""
	l := newLogin(t, a, nil)
	res := l.do(post(t, with(a.user.Phone, password)))
	user, _ := decode(t, res)["user"].(map[string]any)
	want := map[string]any{"id": 7.0, "email": nil, "role": "customer"}
	if res.StatusCode != 200 || !maps.Equal(user, want) {
		t.Errorf("%d %v", res.StatusCode, user)
	}
}

// The hash of another application stays, however outdated it is.
func TestNoHashIsUpgradedThroughAView(t *testing.T) {
	t.Parallel()
	a := someone()
	a.view = true
	l := newLogin(t, a, nil)
	if res := l.do(post(t, with(a.user.Email, password))); res.StatusCode != 200 || a.replaced != "" {
		t.Errorf("%d, the hash is %s", res.StatusCode, a.replaced)
	}
	if strings.Contains(l.log.String(), "upgraded") {
		t.Errorf("the log is\n%s", l.log.String())
	}
}

func TestAnUnusablePasswordFitsNothing(t *testing.T) {
	t.Parallel()
	a := someone()
	a.hash = "!AbCdEfGhIjKlMnOpQrStUvWxYz0123456789abcd"
	res := newLogin(t, a, nil).do(post(t, with(a.user.Email, a.hash)))
	if got := decode(t, res); res.StatusCode != 401 || got["code"] != "bad_credentials" {
		t.Errorf("%d %v", res.StatusCode, got)
	}
}
