package app_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

// piece is the length in bytes of a piece of a secret that must not be found. It is short enough to find parts of a secret,
// and long enough not to occur by chance.
const piece = 12

// shown is the number of bytes of a token that a log may show.
const shown = 19

// marks is an index of secrets that finds a piece of any of them in a text, in whatever encoding.
type marks struct {
	mu      sync.Mutex
	pieces  map[[piece]byte]string // from a piece to the secret and its encoding
	secrets int
}

// secret returns a new random secret with the characters that encodings write in different ways.
func (k *marks) secret(what string) string {
	text := rand.Text()[:14]
	for _, odd := range []string{`"`, "ä", "%", "/", "+", " ", "&", "<", "\\", "'", "=", "?"} {
		text += odd + rand.Text()[:4]
	}
	return k.add(what, text+rand.Text())
}

// word returns a new random secret of letters and digits.
func (k *marks) word(what string) string { return k.add(what, rand.Text()+rand.Text()) }

// jwt marks a token except for what a log may show.
func (k *marks) jwt(what, token string) string {
	k.add(what, token[shown+1-piece:])
	return token
}

// add marks a secret. A secret shorter than a piece cannot be found.
func (k *marks) add(what, secret string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.pieces == nil {
		k.pieces = map[[piece]byte]string{}
	}
	k.secrets++
	for form, text := range forms(secret) {
		for b := []byte(text); len(b) >= piece; b = b[1:] {
			if at := [piece]byte(b); k.pieces[at] == "" {
				k.pieces[at] = what + ", " + form
			}
		}
	}
	return secret
}

// find returns the pieces of secrets in a text with what stands around them, one for each kind of secret.
func (k *marks) find(text string) []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	found := map[string]string{}
	for b, i := []byte(text), 0; i+piece <= len(b); i++ {
		what := k.pieces[[piece]byte(b[i:])]
		if secret, _, _ := strings.Cut(what, ","); what != "" && found[secret] == "" {
			found[secret] = fmt.Sprintf("%s: …%q…", what, b[max(0, i-80):min(len(b), i+80)])
		}
	}
	return slices.Sorted(maps.Values(found))
}

var escapes = regexp.MustCompile(`%[0-9A-F]{2}`)

// forms returns the encodings of a text that may occur in a log or an answer.
func forms(text string) map[string]string {
	once := url.QueryEscape(text)
	html, plain := inJSON(text, true), inJSON(text, false)
	all := map[string]string{
		"as it is":                        text,
		"URL-encoded":                     once,
		"URL-encoded in lower case":       escapes.ReplaceAllStringFunc(once, strings.ToLower),
		"URL-encoded twice":               url.QueryEscape(once),
		"URL-encoded as a path":           url.PathEscape(text),
		"URL-encoded twice, as a path":    url.PathEscape(url.PathEscape(text)),
		"in JSON":                         plain,
		"in JSON for a page":              html,
		"in JSON in JSON":                 inJSON(plain, false),
		"in JSON for a page in JSON":      inJSON(html, true),
		"quoted":                          strconv.Quote(text),
		"quoted, in ASCII":                strconv.QuoteToASCII(text),
		"quoted twice":                    strconv.Quote(strconv.Quote(text)),
		"quoted in JSON":                  inJSON(strconv.Quote(text), false),
		"in hex":                          hex.EncodeToString([]byte(text)),
		"in upper hex":                    fmt.Sprintf("%X", text),
		"in spaced hex":                   fmt.Sprintf("% x", text),
		"as a list of bytes":              fmt.Sprint([]byte(text)),
		"as a JSON list of bytes":         strings.ReplaceAll(fmt.Sprint([]byte(text)), " ", ","),
		"in lower case":                   strings.ToLower(text),
		"URL-encoded, then in lower case": strings.ToLower(once),
	}
	for shift := range 3 { // base64 depends on where in a group of three bytes the text begins
		shifted := append(make([]byte, shift), text...)
		all[fmt.Sprintf("in base64, shifted by %d", shift)] = base64.StdEncoding.EncodeToString(shifted)
		all[fmt.Sprintf("in base64url, shifted by %d", shift)] = base64.RawURLEncoding.EncodeToString(shifted)
	}
	return all
}

func inJSON(text string, escapeHTML bool) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(escapeHTML)
	if err := e.Encode(text); err != nil {
		panic(err) // a string can be encoded
	}
	return strings.Trim(b.String(), "\"\n")
}

func TestAMarkIsFoundInEveryFormAndInPart(t *testing.T) {
	t.Parallel()
	var k marks
	secret, token := k.secret("a password"), k.jwt("a token", world.Sign(t, nil))
	for form, text := range forms(secret) {
		if len(k.find("before "+text+" after")) == 0 {
			t.Errorf("%s: not found in %s", form, text)
		}
		if middle := text[len(text)/2:][:piece]; len(k.find("…"+middle+"…")) == 0 {
			t.Errorf("%s: not found by its part %s", form, middle)
		}
	}
	for _, part := range []string{token, strings.Split(token, ".")[1], strings.Split(token, ".")[2], token[:shown+1], token[len(token)-piece:]} {
		if len(k.find("[X] Token found: "+part)) == 0 {
			t.Errorf("not found: %s", part)
		}
	}
	if found := k.find("[X] Token found: " + token[:shown] + "... and nothing of " + rand.Text()); len(found) != 0 {
		t.Errorf("found where there is nothing: %q", found)
	}
}
