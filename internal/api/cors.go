package api

import (
	"net/http"
	"strconv"
	"strings"
	"unicode"

	"github.com/roomspa/roomspa/internal/auth"
)

// preflightAge is the time in seconds for which browsers cache the answer to a preflight. It is
// the maximum of Chromium.
const preflightAge = 7200

const originRefused = "origin_refused"

// exposedHeaders are the response headers that pages may read in addition to the default ones.
const exposedHeaders = "Roomspa-Ref, Retry-After, WWW-Authenticate"

// cors returns a handler that lets pages of the allowed origins call next, by the CORS protocol of
// the Fetch standard. It always names the origin, never "*", and does not allow credentials
// that browsers add, because pages send tokens explicitly.
//
// Pages of other origins cannot read the answers. Their preflights are refused with a problem
// document, which browsers show in their network view.
func cors(origins []string, b base, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Vary", "Origin") // also without an Origin, because a cache must not serve that answer to a page
		origin, one := auth.Origin(r.Header)
		if origin == "" && one {
			if r.Method == http.MethodOptions {
				h.Set("Allow", "GET, HEAD, POST, OPTIONS")
				w.WriteHeader(http.StatusNoContent)
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		allowed := one && auth.OriginAllowed(origin, r.Host, origins)
		if allowed {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", exposedHeaders)
		}
		if r.Method != http.MethodOptions {
			next.ServeHTTP(w, r)
			return
		}
		h.Set("Vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
		if !allowed {
			b.exchange(w, r).reject(newFailure(http.StatusForbidden, originRefused, "Pages of the origin "+
				strconv.Quote(truncate(origin))+" may not call the API. To allow it, add the origin to --origins (ROOMSPA_ORIGINS)."))
			return
		}
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE")
		h.Set("Access-Control-Allow-Headers", allowedHeaders(r))
		h.Set("Access-Control-Max-Age", strconv.Itoa(preflightAge))
		w.WriteHeader(http.StatusNoContent)
	})
}

// allowedHeaders returns what a preflight asks for. Pages of allowed origins may send any header:
// monitoring adds some to every request of a page, and none has a meaning here but these two.
func allowedHeaders(r *http.Request) string {
	headers := []string{"Authorization", "Content-Type"}
	for name := range strings.SplitSeq(r.Header.Get("Access-Control-Request-Headers"), ",") {
		name = strings.TrimSpace(name)
		if !strings.EqualFold(name, "Authorization") && !strings.EqualFold(name, "Content-Type") && isToken(name) {
			headers = append(headers, name)
		}
	}
	return strings.Join(headers, ", ")
}

// isToken reports whether s is a token of RFC 9110 §5.6.2, as names of headers are.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// truncate shortens a text from a client for the log or an answer.
func truncate(s string) string {
	if len(s) > 100 {
		s = s[:100] + "…"
	}
	return strings.ToValidUTF8(s, "")
}
