package auth

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/roomspa/roomspa/internal/unseen"
)

// A mistake is how a text differs from the token that somebody meant to send.
type mistake struct {
	what string // as a sentence after "The token"
	with string // how the token is got from the text, as in "without it"; "" if it cannot be got
	text string // the token
}

// maxMistakes is how many mistakes are undone in one text, such as quotes within an encoding.
const maxMistakes = 3

// explain returns the refusal of a text that is no JWT. It names what is wrong with the text, and
// says whether the token would be good without that. It contains nothing of the text but single
// characters that no JWT has.
func (k *Keys) explain(token string, wanted TokenType, now time.Time) *Refusal {
	var whats []string
	with := ""
	for range maxMistakes {
		m := findMistake(token)
		whats, with, token = append(whats, m.what), m.with, m.text
		if with == "" || !isMalformed(token) {
			break
		}
	}
	detail := "The token " + strings.Join(whats, "; it ")
	if with != "" && !isMalformed(token) {
		if len(whats) > 1 {
			with = "put right"
		}
		detail += "; " + with + " the token is " + k.describe(token, wanted, now)
	}
	return invalid("malformed", detail+".")
}

// describe returns whether a token is good, in words.
func (k *Keys) describe(token string, wanted TokenType, now time.Time) string {
	var refusal *Refusal
	switch {
	case k == nil:
		_, payload, _, _ := splitToken(token)
		set, ok := decodeClaims(decodePart(payload))
		if _, refusal = readClaims(set, wanted, now); !ok {
			refusal = invalid("malformed", "")
		}
	case wanted == Refresh:
		_, refusal = k.verifyRefresh(token, now)
	default:
		_, refusal = k.verify(token, now)
	}
	if refusal != nil {
		return "refused too (" + refusal.Word + ")"
	}
	return "good"
}

func isMalformed(token string) bool {
	_, _, _, refusal := splitToken(token)
	return refusal != nil
}

// placeholders are texts that programs send in place of a token that they do not have.
var placeholders = []string{"undefined", "null", "nil", "none", "nan", "true", "false", "[object object]", "[object promise]", "token", "<token>", "your_token"}

// prefixes are what stands before a token in other places.
var prefixes = regexp.MustCompile(`(?i)^(bearer|jwt|token|authorization|access_token|access|auth_token|id_token)(\s*[:=]\s*|\s+)`)

// within finds a JWT in a longer text.
var within = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`)

var percent = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// findMistake returns the first mistake in a text that [splitToken] refuses.
func findMistake(s string) mistake {
	core, ends := unseen.Ends(s)
	switch {
	case slices.Contains(placeholders, strings.ToLower(s)):
		return mistake{what: fmt.Sprintf("is the text %q: the client has no token, and sends that", strings.ToLower(s))}
	case strings.Contains(s, "\x00"):
		return mistake{"has NULs between its characters: it was read from a file in UTF-16", "as UTF-8", strings.Trim(strings.ReplaceAll(s, "\x00", ""), "\ufffd")}
	case ends != "":
		return mistake{"has " + ends, "without that", core}
	}
	if m := findWrapping(s); m.what != "" {
		return m
	}
	return findInside(s)
}

// findWrapping returns the mistake if something else than the token was sent that contains it.
func findWrapping(s string) mistake {
	switch {
	case strings.HasPrefix(s, "{"):
		return inObject(s)
	case strings.HasPrefix(s, "<!") || strings.HasPrefix(strings.ToLower(s), "<html"):
		return mistake{what: "is a web page: the request for the token got one as its answer"}
	case strings.HasPrefix(s, "${") || strings.HasPrefix(s, "$") || strings.HasPrefix(s, "{{") || strings.HasPrefix(s, "<"):
		return mistake{what: "is a placeholder of a script or a template that was not replaced"}
	}
	if p := prefixes.FindString(s); p != "" {
		word := strings.ToLower(strings.TrimRight(p, ": =\t"))
		return mistake{fmt.Sprintf("begins with %q: send the token alone, unless this is the header Authorization, with the scheme once", word), "without it", s[len(p):]}
	}
	if at := percent.FindStringIndex(s); at != nil {
		if decoded, err := url.PathUnescape(s); err == nil {
			return mistake{fmt.Sprintf("has %s at byte %d: encoded twice, or percent-encoded where it must not be", strings.ToUpper(s[at[0]:at[1]]), at[0]+1), "decoded once", decoded}
		}
	}
	if decoded, ok := decodeAny(s); ok {
		return mistake{"is base64 of a token: encoded once too often", "decoded", decoded}
	}
	return mistake{}
}

// inObject returns the mistake of a JSON object in the place of a token.
func inObject(s string) mistake {
	var object map[string]json.RawMessage
	if json.Unmarshal([]byte(s), &object) != nil {
		return mistake{what: "is a JSON object, and an incomplete one: take its access_token"}
	}
	for _, name := range []string{"access_token", "access", "token"} {
		var text string
		if json.Unmarshal(object[name], &text) == nil && text != "" {
			return mistake{"is a JSON object: take its " + name, "with that", text}
		}
	}
	return mistake{what: "is a JSON object without access_token"}
}

// decodeAny decodes base64 of any kind, if a JWT comes out.
func decodeAny(s string) (string, bool) {
	for _, e := range []*base64.Encoding{base64.RawURLEncoding, base64.RawStdEncoding} {
		if decoded, err := e.DecodeString(strings.TrimRight(s, "=")); err == nil {
			if text := strings.TrimRight(string(decoded), "\r\n"); !isMalformed(text) {
				return text, true
			}
		}
	}
	return "", false
}

// findInside returns the mistake of a text that has a wrong character or a wrong number of parts.
func findInside(s string) mistake {
	if at := strings.IndexFunc(s, func(r rune) bool { return r > 127 || !isBase64URL(byte(r)) && r != '.' }); at >= 0 {
		r, _ := utf8.DecodeRuneInString(s[at:])
		what := fmt.Sprintf("has %s at byte %d, which no JWT has", characterName(r), at+1)
		switch found := within.FindString(s); {
		case strings.HasSuffix(s, "…"):
			return mistake{what: "ends with …: it is the shortened form of a log or a page"}
		case r == '=' && !isMalformed(strings.ReplaceAll(s, "=", "")):
			return mistake{what + ": the padding of base64", "without it", strings.ReplaceAll(s, "=", "")}
		case (r == '+' || r == '/') && !isMalformed(strings.NewReplacer("+", "-", "/", "_").Replace(s)):
			return mistake{what + ": it is in base64 instead of base64url", "with - for + and _ for /", strings.NewReplacer("+", "-", "/", "_").Replace(s)}
		case unseen.Is(r) && !isMalformed(without(s)):
			return mistake{what + ": it was wrapped or split", "without it", without(s)}
		case found != "":
			return mistake{what + ": there is more in the text than a token", "alone", found}
		}
		return mistake{what: what}
	}
	n := strings.Count(s, ".") + 1
	head, _, _ := strings.Cut(s, ".")
	_, _, readable := decodeHeader(head)
	switch {
	case strings.HasSuffix(s, "..."):
		return mistake{what: "ends with ...: it is the shortened form that logs print"}
	case strings.EqualFold(head[:min(len(head), 10)], "eyJhbGciOi") && !strings.HasPrefix(head, "eyJ"):
		return mistake{what: "was changed to capital or small letters, and its letters matter"}
	case n == 3:
		return mistake{what: "has a header that is not a JSON object with alg, encoded in base64url"}
	case n == 5:
		return mistake{what: "has 5 parts: it is encrypted (JWE), or it is more than one token"}
	case n == 1 && !readable:
		return mistake{what: fmt.Sprintf("has 1 part(s), %d bytes; a JWT has three, with dots between them. Is it a session id, an API key or a ticket?", len(s))}
	case n < 3 && readable:
		return mistake{what: fmt.Sprintf("has %d part(s) of three: it is cut off after %d bytes", n, len(s))}
	}
	return mistake{what: fmt.Sprintf("has %d part(s); a JWT has three, with dots between them", n)}
}

// without returns a text without the characters that people do not see.
func without(s string) string {
	return strings.Map(func(r rune) rune {
		if unseen.Is(r) {
			return -1
		}
		return r
	}, s)
}

// characterName names a character if that reveals nothing: in a password it would be a part of it.
func characterName(r rune) string {
	if unseen.Is(r) || r > 127 || strings.ContainsRune("%=+/,;&:{}[]<>()$|", r) {
		return unseen.Name(r)
	}
	return "a character"
}

// cutOff returns what is wrong with the length of an HS256 signature, or "".
func cutOff(h header, sig string) string {
	if h.alg != "HS256" {
		return ""
	}
	switch n := len(sig) * 3 / 4; {
	case n < 32:
		return fmt.Sprintf("The token's signature has %d bytes, not 32: the token is cut off.", n)
	case n > 32:
		return fmt.Sprintf("The token's signature has %d bytes, not 32: something follows the token.", n)
	}
	return ""
}
