package api

import (
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/logging"
)

// preflightAge is how long a browser keeps the answer to a preflight, in seconds:
// Chromium's limit.
const preflightAge = 7200

// exposed are the headers of answers that pages may read beside the simple ones.
const exposed = "Roomspa-Ref, Retry-After, WWW-Authenticate"

// cors lets pages of the allowed origins call next, by the Fetch standard's CORS
// protocol. The origin is always named, never "*", and credentials that a browser
// adds by itself are never allowed: tokens are sent by the page.
//
// A page of another origin gets no answer to read. Its preflight is refused with
// a document that says so in the browser's network view.
func cors(origins []string, who Who, log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Vary", "Origin") // also without one: a cache must not give that answer to a page
		origin := r.Header.Get("Origin")
		if origin == "" {
			if r.Method == http.MethodOptions {
				h.Set("Allow", "GET, HEAD, POST, OPTIONS")
				w.WriteHeader(http.StatusNoContent)
				return
			}
			next.ServeHTTP(w, r)
			return
		}
		allowed := auth.OriginAllowed(origin, r.Host, origins)
		if allowed {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", exposed)
		}
		if r.Method != http.MethodOptions {
			next.ServeHTTP(w, r)
			return
		}
		h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
		if !allowed {
			ref, remote := who(r)
			e := &exchange{w: w, r: r, log: &logging.Conn{Log: log, Ref: ref, Remote: remote}, component: "CORS"}
			e.refused(refuse(http.StatusForbidden, "origin_refused", "Pages of the origin "+strconv.Quote(clip(origin))+
				" may not call this. Add it to --origins (ROOMSPA_ORIGINS) if they should."))
			return
		}
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		h.Set("Access-Control-Max-Age", strconv.Itoa(preflightAge))
		w.WriteHeader(http.StatusNoContent)
	})
}

// clip shortens what a client has sent for a log or an answer.
func clip(s string) string {
	if len(s) > 100 {
		s = s[:100] + "…"
	}
	return strings.ToValidUTF8(s, "")
}
