package diagnose

import (
	"fmt"
	"slices"
	"strings"
)

// besides adds to the evidence of a cause what else the run has found about it.
var besides = map[string]func(*Facts) []string{
	"replica_hung": func(f *Facts) (all []string) {
		if who := f.answering(); len(who) > 0 {
			all = append(all, "the other requests were answered by "+strings.Join(who, ", "))
		}
		for _, r := range f.Replicas {
			if r.Error != "" {
				all = append(all, "the ops listener "+r.Address+" does not answer either: restart that replica")
			}
		}
		return all
	},
	"no_answer": func(f *Facts) (all []string) {
		for _, r := range f.Replicas {
			if r.Error != "" {
				all = append(all, "the ops listener "+r.Address+" does not answer either: the replica hangs, or has no file descriptor left for a connection (its log says: too many open files)")
			}
		}
		return append(all, f.direct()...)
	},
	"other_backend": func(f *Facts) (all []string) {
		return []string{"roomspa answered the others: " + strings.Join(f.answering(), ", ")}
	},
	"proxy_limits_connections": func(f *Facts) []string {
		return []string{fmt.Sprintf("sockets beside each other: %d let in, the next one refused, twice", heldLimit(f))}
	},
	"path_not_routed": func(*Facts) []string { return []string{"other paths reach roomspa"} },
	"subprotocol_dropped": func(f *Facts) []string {
		if f.any(func(a *Attempt) bool { return a.Code == "token_missing" && a.sent("subprotocol") }) {
			return []string{"roomspa did not get Sec-WebSocket-Protocol, which this program sent"}
		}
		return []string{"the response 101 came without Sec-WebSocket-Protocol: bearer, which this program asked for; browsers close such a socket"}
	},
	"no_route_for_host": func(f *Facts) []string {
		return []string{"nothing at " + f.Host + " is answered by roomspa: it may be the default server of the proxy"}
	},
	"wrong_path_prefix": func(f *Facts) []string {
		return some(f.Prefix != "", "the URL has the prefix "+f.Prefix+" before /ws/")
	},
	"query_stripped": func(*Facts) []string { return []string{"roomspa did not get the query of the URL"} },
	"mtu_too_small": func(f *Facts) []string {
		small, large := f.sizes()
		return []string{fmt.Sprintf("%d bytes are answered, %d bytes are not", small, large)}
	},
	"wrong_protocol_on_port": func(f *Facts) []string { return []string{"the port speaks " + otherProtocol(f)} },
	"bad_gateway":            (*Facts).answeredOthers,
	"gateway_timeout":        (*Facts).answeredOthers,
	"proxy_sees_no_replica": func(f *Facts) (all []string) {
		for _, r := range f.Replicas {
			if r.Ready {
				all = append(all, "replica "+r.Name+" says at "+r.Address+" that it is ready")
			}
		}
		return append(all, f.direct()...)
	},
	"clock_skew": func(f *Facts) []string {
		if f.Token != nil && f.SkewMS != nil {
			return []string{fmt.Sprintf("the token is %.0f s old by the clock of this machine; %s", f.Token.AgeS, skewText(*f.SkewMS))}
		}
		return nil
	},
}

// answeredOthers says who answered the requests that the proxy did not fail.
func (f *Facts) answeredOthers() []string {
	if who := f.answering(); len(who) > 0 {
		return append(f.direct(), "the other requests were answered by "+strings.Join(who, ", ")+": a backend beside it does not answer the proxy")
	}
	return f.direct()
}

// answering returns the names of the replicas that answered.
func (f *Facts) answering() []string {
	var names []string
	for _, a := range f.Attempts {
		if a.Ours && a.Replica != "" && !slices.Contains(names, "replica "+a.Replica) {
			names = append(names, "replica "+a.Replica)
		}
	}
	return names
}

// direct says which hosts of ops listeners answered without the proxy.
func (f *Facts) direct() (all []string) {
	for _, a := range f.attempts(func(a *Attempt) bool { return a.Probe == "direct" && a.Ours }) {
		all = append(all, "roomspa answers directly at "+a.Address)
	}
	return all
}
