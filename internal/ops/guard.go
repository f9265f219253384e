package ops

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/roomspa/roomspa/internal/problem"
)

// isLoopbackName reports whether the Host of a request is this host without the help of DNS.
func isLoopbackName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}

// refuse returns why a request may not read /debug/, or nil. With a token the request must
// carry it. Without one it must come from this host, as kubectl port-forward does. A proxy on
// this host, such as the sidecar of a service mesh, is not the host itself. Nor is a page in a
// browser of this host, whose name resolves to it.
func (o *Options) refuse(r *http.Request) *problem.Problem {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return &problem.Problem{Status: http.StatusForbidden, Code: "cross_origin", Detail: "A page of another site may not send this request."}
	}
	required := ""
	if o.Token != nil {
		required = o.Token()
	}
	if required == "" {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if addr := from.Addr().Unmap(); err == nil && (addr == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || addr == netip.IPv6Loopback()) && r.Header["X-Forwarded-For"] == nil {
			if isLoopbackName(r.Host) {
				return nil
			}
			return &problem.Problem{
				Status: http.StatusForbidden, Code: "loopback_only",
				Detail: "Without --ops-token (ROOMSPA_OPS_TOKEN), /debug/ answers only requests to localhost or a loopback address, so that web pages cannot send them under a name of their own. Use http://127.0.0.1 and the port.",
			}
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
		Detail: "Send the replica's ops token as Authorization: Bearer. roomspa explain, roomspa diagnose and roomspa ctl take it as --ops-token (ROOMSPA_OPS_TOKEN).",
	}
}
