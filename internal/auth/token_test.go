package auth_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
)

func TestVerifyAcceptsWhatSimpleJWTMints(t *testing.T) {
	t.Parallel()
	want := auth.Claims{UserID: 1, IssuedAt: noon, ExpiresAt: noon.Add(5 * time.Minute), ID: "0123456789abcdef0123456789abcdef"}
	bare := auth.Claims{UserID: 1, ExpiresAt: noon.Add(5 * time.Minute)}
	for _, tt := range []struct {
		name, token string
		at          time.Time
		want        auth.Claims
	}{
		{"user_id is a number", signA(good), noon, want},
		{"user_id is a string of a number", signA(strings.Replace(good, `:1}`, `:"1"}`, 1)), noon, want},
		{"the claims have spaces between them", signA(strings.NewReplacer(":", " : ", ",", " ,\n").Replace(good)), noon, want},
		{"the header has its members in the other order", sign(sha256.New, secretA, `{"typ":"JWT","alg":"HS256"}`, good), noon, want},
		{"the largest user_id", signA(`{"token_type":"access","exp":1795435500,"user_id":9007199254740991}`), noon, withUser(bare, room.MaxID)},
		{"neither iat nor jti", signA(`{"token_type":"access","exp":1795435500,"user_id":1}`), noon, bare},
		{"a claim of another name in capitals", signA(`{"token_type":"access","exp":1795435500,"user_id":1,"USER_ID":2}`), noon, bare},
		{"names in capitals before and after each claim", signA(`{"TOKEN_TYPE":"refresh","EXP":1,"User_Id":2,"token_type":"access","exp":1795435500,"user_id":1,"Token_type":5,"Exp":null,"IAT":"x","JTI":7,"NBF":[]}`), noon, bare},
		{"of two claims with one name the last one counts (RFC 7519 §4)", signA(`{"token_type":"refresh","token_type":"access","exp":"x","exp":1795435500,"user_id":null,"user_id":2,"user_id":1}`), noon, bare},
		{"escapes in names and values", signA(`{"token\u005ftype":"acc\u0065ss","\u0065xp":1795435500,"user_i\u0064":"\u0031"}`), noon, bare},
		{"the names of claims inside another claim", signA(`{"x":{"user_id":2,"exp":1,"token_type":"refresh"},"y":[{"user_id":"}"}],"token_type":"access","exp":1795435500,"user_id":1}`), noon, bare},
		{"claims that nobody knows, deeply nested", signA(`{"x":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `,"":{"a":"]}\""},"token_type":"access","exp":1795435500,"user_id":1}`), noon, bare},
		{"white space around the object", signA(" \t\r\n" + good + " \t\r\n"), noon, want},
		{"exp with an exponent", signA(`{"token_type":"access","exp":1.7954355e9,"user_id":1}`), noon, bare},
		{"half of a surrogate pair in jti", signA(`{"token_type":"access","exp":1795435500,"user_id":1,"jti":"\ud800"}`), noon, withID(bare, "\uFFFD")},
		{"four seconds behind exp", signA(good), noon.Add(304 * time.Second), want},
		{"iat five seconds ahead", signA(good), noon.Add(-5 * time.Second), want},
		{"nbf five seconds ahead", signA(`{"token_type":"access","exp":1795435500,"nbf":1795435205,"user_id":1}`), noon, bare},
		{
			"exp has a fraction (RFC 7519 §2)", signA(`{"token_type":"access","exp":1795435500.5,"user_id":1}`),
			noon.Add(305 * time.Second), withExpiry(bare, noon.Add(300500*time.Millisecond)),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := newKeys(t, secretA).Verify(tt.token, tt.at)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
}

func withUser(c auth.Claims, id room.UserID) auth.Claims { c.UserID = id; return c }
func withID(c auth.Claims, id string) auth.Claims        { c.ID = id; return c }
func withExpiry(c auth.Claims, at time.Time) auth.Claims { c.ExpiresAt = at; return c }
func claims(format string, a ...any) string              { return signA(fmt.Sprintf(format, a...)) }
func userID(raw string) string {
	return claims(`{"token_type":"access","exp":1795435500,"user_id":%s}`, raw)
}

func dated(name, raw string) string {
	return claims(`{"token_type":"access","exp":1795435500,"user_id":1,%q:%s}`, name, raw)
}

func expiring(raw string) string                     { return claims(`{"token_type":"access","user_id":1,"exp":%s}`, raw) }
func changed(token string, at int, to string) string { return token[:at] + to + token[at+1:] }
func last(token string) int                          { return len(token) - 1 }
func parts(token string) (header, payload, signature string) {
	p := strings.Split(token, ".")
	return p[0], p[1], p[2]
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	header, payload, signature := parts(signA(good))
	for _, tt := range []struct{ name, token, reason, word string }{
		{"no token", "", auth.TokenMissing, "missing"},
		{"garbage", "garbage", auth.TokenInvalid, "malformed"},
		{"garbage in three parts", "a.b.c", auth.TokenInvalid, "malformed"},
		{"only dots", "..", auth.TokenInvalid, "malformed"},
		{"a token without its signature's part", header + "." + payload, auth.TokenInvalid, "malformed"},
		{"five parts, as an encrypted JWT has", "a.b.c.d.e", auth.TokenInvalid, "malformed"},
		{"a line break inside", header + ".\n" + payload + "." + signature, auth.TokenInvalid, "malformed"},
		{"padding", header + "=." + payload + "." + signature, auth.TokenInvalid, "malformed"},
		{"a scheme in front", "Bearer " + signA(good), auth.TokenInvalid, "malformed"},
		{"more than 8 KiB", signA(good) + strings.Repeat("A", auth.MaxToken), auth.TokenInvalid, "too_long"},

		{"a header that is no JSON", sign(sha256.New, secretA, `HS256`, good), auth.TokenInvalid, "malformed"},
		{"a header that is null", sign(sha256.New, secretA, `null`, good), auth.TokenInvalid, "malformed"},
		{"a header without alg", sign(sha256.New, secretA, `{"typ":"JWT"}`, good), auth.TokenInvalid, "malformed"},
		{"a kid that is a number", sign(sha256.New, secretA, `{"alg":"HS256","kid":1}`, good), auth.TokenInvalid, "malformed"},
		{"a header with crit", sign(sha256.New, secretA, `{"alg":"HS256","crit":["b64"],"b64":false}`, good), auth.TokenInvalid, "malformed"},

		{"alg none without a signature", b64(`{"alg":"none","typ":"JWT"}`) + "." + payload + ".", auth.TokenInvalid, "wrong_algorithm"},
		{"alg None in another case", b64(`{"alg":"None"}`) + "." + payload + ".", auth.TokenInvalid, "wrong_algorithm"},
		{"alg none with a good HS256 signature", sign(sha256.New, secretA, `{"alg":"none"}`, good), auth.TokenInvalid, "wrong_algorithm"},
		{"HS512 with the right secret", sign512(`{"alg":"HS512","typ":"JWT"}`), auth.TokenInvalid, "wrong_algorithm"},
		{"an HS512 signature under an HS256 header", sign512(hs256), auth.TokenInvalid, "bad_signature"},
		{"RS256 in the header of a token that an HS256 key signed", sign(sha256.New, secretA, `{"alg":"RS256","typ":"JWT"}`, good), auth.TokenInvalid, "wrong_algorithm"},
		{"the wrong algorithm and the wrong secret", sign(sha256.New, secretC, `{"alg":"RS256"}`, good), auth.TokenInvalid, "wrong_algorithm"},

		{"the wrong secret", sign(sha256.New, secretC, hs256, good), auth.TokenInvalid, "bad_signature"},
		{"the wrong secret, expired", sign(sha256.New, secretC, hs256, `{"token_type":"access","exp":1,"user_id":1}`), auth.TokenInvalid, "bad_signature"},
		{"the wrong secret, a refresh token", sign(sha256.New, secretC, hs256, `{"token_type":"refresh"}`), auth.TokenInvalid, "bad_signature"},
		{"the wrong secret, claims that are no JSON", sign(sha256.New, secretC, hs256, `claims`), auth.TokenInvalid, "bad_signature"},
		{"an empty signature", header + "." + payload + ".", auth.TokenInvalid, "bad_signature"},
		{"half a signature", header + "." + payload + "." + signature[:21], auth.TokenInvalid, "bad_signature"},
		{"other claims under the same signature", header + "." + b64(strings.Replace(good, ":1}", ":2}", 1)) + "." + signature, auth.TokenInvalid, "bad_signature"},
		{"trailing bits that a loose decoder ignores", signA(good)[:last(signA(good))] + next(signA(good)), auth.TokenInvalid, "bad_signature"},
		{"a character of the signature changed", changed(signA(good), len(header)+len(payload)+2, "-"), auth.TokenInvalid, "bad_signature"},

		{"claims that are no JSON", signA("claims"), auth.TokenInvalid, "malformed"},
		{"claims that are null", signA("null"), auth.TokenInvalid, "malformed"},
		{"claims that are a list", signA("[]"), auth.TokenInvalid, "malformed"},
		{"claims that are not UTF-8", signA("{\"a\":\"\xff\"}"), auth.TokenInvalid, "malformed"},
		{"something behind the claims", signA(good + "{}"), auth.TokenInvalid, "malformed"},
		{"claims that are empty", signA(""), auth.TokenInvalid, "malformed"},
		{"claims that are white space", signA(" \n"), auth.TokenInvalid, "malformed"},
		{"claims that are a string", signA(`"{}"`), auth.TokenInvalid, "malformed"},
		{"claims that end too early", signA(good[:last(good)]), auth.TokenInvalid, "malformed"},
		{"a comma behind the last claim", signA(good[:last(good)] + ",}"), auth.TokenInvalid, "malformed"},
		{"a name without quotes", signA(`{exp:1}`), auth.TokenInvalid, "malformed"},
		{"a byte order mark", signA("\uFEFF" + good), auth.TokenInvalid, "malformed"},
		{"a control character in a name", signA("{\"a\nb\":1}"), auth.TokenInvalid, "malformed"},
		{"an unfinished claim that nobody knows", signA(`{"x":[{"y":1,"token_type":"access"}`), auth.TokenInvalid, "malformed"},
		{"no claims", signA(`{}`), auth.TokenInvalid, "wrong_type"},

		{"a refresh token", signA(strings.Replace(good, "access", "refresh", 1)), auth.TokenInvalid, "wrong_type"},
		{"a refresh token that expired", signA(`{"token_type":"refresh","exp":1,"user_id":1}`), auth.TokenInvalid, "wrong_type"},
		{"a sliding token", signA(strings.Replace(good, "access", "sliding", 1)), auth.TokenInvalid, "wrong_type"},
		{"no token_type", signA(`{"exp":1795435500,"user_id":1}`), auth.TokenInvalid, "wrong_type"},
		{"token_type null", signA(`{"token_type":null,"exp":1795435500,"user_id":1}`), auth.TokenInvalid, "wrong_type"},
		{"token_type in capitals only", signA(`{"TOKEN_TYPE":"access","exp":1795435500,"user_id":1}`), auth.TokenInvalid, "wrong_type"},

		{"token_type a number", signA(`{"token_type":5,"exp":1795435500,"user_id":1}`), auth.TokenInvalid, "wrong_type"},
		{"token_type access, then refresh", signA(`{"token_type":"access","exp":1795435500,"user_id":1,"token_type":"refresh"}`), auth.TokenInvalid, "wrong_type"},
		{"token_type access, then null", signA(`{"token_type":"access","exp":1795435500,"user_id":1,"token_type":null}`), auth.TokenInvalid, "wrong_type"},

		{"expired", signA(`{"token_type":"access","exp":1795435195,"iat":1795434895,"user_id":1}`), auth.TokenExpired, "expired"},
		{"expired in 1970", expiring("0"), auth.TokenExpired, "expired"},
		{"expired, and user_id is missing", signA(`{"token_type":"access","exp":1}`), auth.TokenInvalid, "missing_user_id"},
		{"no exp", signA(`{"token_type":"access","user_id":1}`), auth.TokenInvalid, "missing_exp"},
		{"exp as text", expiring(`"1795435500"`), auth.TokenInvalid, "bad_exp"},
		{"exp null", expiring("null"), auth.TokenInvalid, "bad_exp"},
		{"exp true", expiring("true"), auth.TokenInvalid, "bad_exp"},
		{"exp in milliseconds", expiring("1795435500000"), auth.TokenInvalid, "bad_exp"},
		{"exp beyond all integers", expiring("1e300"), auth.TokenInvalid, "bad_exp"},
		{"exp beyond all floats", expiring("1e999"), auth.TokenInvalid, "bad_exp"},
		{"exp beyond all int64", expiring("99999999999999999999"), auth.TokenInvalid, "bad_exp"},
		{"exp a list", expiring("[1795435500]"), auth.TokenInvalid, "bad_exp"},
		{"exp in capitals only", signA(`{"token_type":"access","EXP":1795435500,"user_id":1}`), auth.TokenInvalid, "missing_exp"},
		{"a good exp, then text", signA(`{"token_type":"access","exp":1795435500,"user_id":1,"exp":"1795435500"}`), auth.TokenInvalid, "bad_exp"},
		{"a good exp, then null", signA(`{"token_type":"access","exp":1795435500,"user_id":1,"exp":null}`), auth.TokenInvalid, "bad_exp"},
		{"a good exp, then a past one", signA(`{"token_type":"access","exp":1795435500,"user_id":1,"exp":1}`), auth.TokenExpired, "expired"},
		{"exp so small that it is 0", expiring("1e-400"), auth.TokenExpired, "expired"},
		{"exp below 0", expiring("-1"), auth.TokenInvalid, "bad_exp"},
		{"exp a little below 0", expiring("-0.5"), auth.TokenInvalid, "bad_exp"},

		{"nbf ahead", dated("nbf", "1795435206"), auth.TokenInvalid, "not_yet_valid"},
		{"nbf as text", dated("nbf", `"1795435200"`), auth.TokenInvalid, "bad_nbf"},
		{"iat ahead", dated("iat", "1795435206"), auth.TokenInvalid, "not_yet_valid"},
		{"iat as text", dated("iat", `"1795435200"`), auth.TokenInvalid, "bad_iat"},
		{"iat null", dated("iat", `null`), auth.TokenInvalid, "bad_iat"},
		{"jti is a number", dated("jti", `5`), auth.TokenInvalid, "bad_jti"},
		{"jti a list", dated("jti", `["a"]`), auth.TokenInvalid, "bad_jti"},
		{"jti null", dated("jti", `null`), auth.TokenInvalid, "bad_jti"},

		{"user_id missing", signA(`{"token_type":"access","exp":1795435500}`), auth.TokenInvalid, "missing_user_id"},
		{"user_id in capitals only", signA(`{"token_type":"access","exp":1795435500,"User_Id":1}`), auth.TokenInvalid, "missing_user_id"},
		{"a good user_id, then null", signA(`{"token_type":"access","exp":1795435500,"user_id":1,"user_id":null}`), auth.TokenInvalid, "bad_user_id"},
		{"user_id beyond all int64", userID("99999999999999999999"), auth.TokenInvalid, "bad_user_id"},
		{"user_id beyond all floats", userID("1e999"), auth.TokenInvalid, "bad_user_id"},
		{"user_id 1.0", userID("1.0"), auth.TokenInvalid, "bad_user_id"},
		{"user_id an object", userID(`{"id":1}`), auth.TokenInvalid, "bad_user_id"},
		{"user_id null", userID("null"), auth.TokenInvalid, "bad_user_id"},
		{"user_id 1.5", userID("1.5"), auth.TokenInvalid, "bad_user_id"},
		{"user_id 1e3", userID("1e3"), auth.TokenInvalid, "bad_user_id"},
		{"user_id 0", userID("0"), auth.TokenInvalid, "bad_user_id"},
		{"user_id -1", userID("-1"), auth.TokenInvalid, "bad_user_id"},
		{"user_id 2^53", userID("9007199254740992"), auth.TokenInvalid, "bad_user_id"},
		{"user_id true", userID("true"), auth.TokenInvalid, "bad_user_id"},
		{"user_id a list", userID("[1]"), auth.TokenInvalid, "bad_user_id"},
		{"user_id an empty string", userID(`""`), auth.TokenInvalid, "bad_user_id"},
		{`user_id "01"`, userID(`"01"`), auth.TokenInvalid, "bad_user_id"},
		{`user_id "+1"`, userID(`"+1"`), auth.TokenInvalid, "bad_user_id"},
		{`user_id " 1"`, userID(`" 1"`), auth.TokenInvalid, "bad_user_id"},
		{`user_id "1.5"`, userID(`"1.5"`), auth.TokenInvalid, "bad_user_id"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := newKeys(t, secretA).Verify(tt.token, noon)
			refused(t, err, tt.reason, tt.word)
			if got != (auth.Claims{}) {
				t.Errorf("claims %+v beside the error", got)
			}
		})
	}
}

// next returns the neighbour of the last character, which differs only in bits
// that 32 bytes of signature do not fill.
func next(token string) string { return string(token[last(token)] + 1) }

func refused(t *testing.T, err error, reason, word string) {
	t.Helper()
	refusal, ok := errors.AsType[*auth.Refusal](err)
	if !ok {
		t.Fatalf("error %v, want a refusal", err)
	}
	if refusal.Reason != reason || refusal.Word != word {
		t.Errorf("%s/%s (%s), want %s/%s", refusal.Reason, refusal.Word, refusal.Detail, reason, word)
	}
	if !strings.HasSuffix(refusal.Detail, ".") {
		t.Errorf("detail %q is no sentence", refusal.Detail)
	}
}

func TestVerifyTakesTheLastSecondOfTheLeeway(t *testing.T) {
	t.Parallel()
	keys := newKeys(t, secretA)
	end := noon.Add(5*time.Minute + auth.Leeway)
	if _, err := keys.Verify(signA(good), end.Add(-1)); err != nil {
		t.Errorf("just before exp and leeway: %v", err)
	}
	_, err := keys.Verify(signA(good), end)
	refused(t, err, auth.TokenExpired, "expired")
}

func TestRefusalsHoldNothingOfTheToken(t *testing.T) {
	t.Parallel()
	for _, token := range []string{
		sign(sha256.New, secretA, `{"alg":"HS256<script>\n"}`, good),
		sign(sha256.New, secretC, `{"alg":"HS256","kid":"forged\nline"}`, good),
	} {
		_, err := newKeys(t, secretA).Verify(token, noon)
		if err == nil || strings.ContainsAny(err.Error(), "\n<") {
			t.Errorf("error %q", err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	keys := newKeys(b, secretA)
	ringed := namedKeys(b, "new", secretB, "old", secretA)
	for _, bb := range []struct {
		name, token string
		keys        *auth.Keys
	}{
		{"good", signA(good), keys},
		{"good, header of another order", sign(sha256.New, secretA, `{"typ":"JWT","alg":"HS256"}`, good), keys},
		{"good, second of two keys", signA(good), ringed},
		{"expired", expiring("1"), keys},
		{"forged", sign(sha256.New, secretC, hs256, good), keys},
		{"garbage", "garbage", keys},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = bb.keys.Verify(bb.token, noon)
			}
		})
	}
}
