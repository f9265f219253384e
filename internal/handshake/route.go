package handshake

import (
	"net/http"
	"strings"
)

// Route returns a handler that serves WebSocket handshakes itself, and hands all other
// requests to other. It looks at the raw path: http.ServeMux would redirect some of
// them, and WebSocket clients follow no redirects (RFC 6455 §4.1).
func (s *Server) Route(other http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 {
			// A proxy may have gone by a Content-Length beside it, which net/http removes. Then it
			// and this server disagree on where the next request begins (RFC 9112 §6.1).
			w.Header().Set("Connection", "close")
		}
		path := r.URL.EscapedPath()
		// A handshake for an unknown path is refused here too, so that the log has its cause.
		if path == "/ws" || strings.HasPrefix(path, "/ws/") || r.Header.Get("Sec-Websocket-Key") != "" {
			s.ServeHTTP(w, r)
			return
		}
		other.ServeHTTP(w, r)
	})
}
