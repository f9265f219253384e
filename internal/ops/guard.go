package ops

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"strings"

	"github.com/roomspa/roomspa/internal/problem"
)

// refuse returns why a request may not read /debug/, or nil. With a token the request must
// carry it. Without one it must come from this host, as kubectl port-forward does. A proxy on
// this host, such as the sidecar of a service mesh, is not the host itself.
func (o *Options) refuse(r *http.Request) *problem.Problem {
	required := ""
	if o.Token != nil {
		required = o.Token()
	}
	if required == "" {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if addr := from.Addr().Unmap(); err == nil && (addr == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || addr == netip.IPv6Loopback()) && r.Header["X-Forwarded-For"] == nil {
			return nil
		}
		return &problem.Problem{
			Status: http.StatusForbidden, Code: "loopback_only",
			Detail: "Without --ops-token (ROOMSPA_OPS_TOKEN), /debug/ answers only requests from the same host. Use kubectl port-forward, or set a token and send it as Authorization: Bearer.",
		}
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	// The digests have the same length, so the comparison takes the same time for all tokens.
	given, want := sha256.Sum256([]byte(strings.TrimSpace(token))), sha256.Sum256([]byte(required))
	if strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(given[:], want[:]) == 1 {
		return nil
	}
	return &problem.Problem{
		Status: http.StatusUnauthorized, Code: "ops_token_required",
		Detail: "Send the replica's ops token as Authorization: Bearer. roomspa explain and roomspa diagnose take it as --ops-token (ROOMSPA_OPS_TOKEN).",
	}
}
