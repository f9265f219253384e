package diagnose

import (
	"fmt"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/cause"
)

// A factRule finds a cause in facts other than single attempts.
type factRule struct {
	cause, level, side string
	see                func(*Facts) []string // the evidence; none if the cause does not apply
	cure               func(*Facts) string   // nil or "": the cause's own
}

func (r factRule) cureOf(f *Facts) string {
	if r.cure == nil {
		return ""
	}
	return r.cure(f)
}

// factRules are ordered as a client meets the causes.
var factRules = []factRule{
	{"name_not_found", fault, network, func(f *Facts) []string { return some(f.NameError != "", f.NameError+f.proxyHint()) }, nil},
	{"connection_refused", fault, ingress, func(f *Facts) []string { return f.unreached("refused") }, nil},
	{"connection_timeout", fault, network, func(f *Facts) []string { return f.unreached("timeout") }, nil},
	{"connection_unreachable", fault, network, func(f *Facts) []string { return f.unreached("unreachable") }, nil},
	{"address_dead", fault, ingress, func(f *Facts) []string { return f.deadAddresses(false) }, nil},
	{"address_unreachable_here", note, network, func(f *Facts) []string { return f.deadAddresses(true) }, nil},
	{"wrong_protocol_on_port", fault, byClient, func(f *Facts) []string {
		return some(f.Certificate != nil && f.Certificate.Cause != "" && otherProtocol(f) != "", "the port speaks "+otherProtocol(f))
	}, nil},
	tlsRule("tls_on_plain_port", byClient), tlsRule("tls_wrong_name", ingress), tlsRule("tls_expired", ingress),
	tlsRule("tls_incomplete_chain", ingress), tlsRule("client_certificate_wanted", ingress), tlsRule("http_2_only", ingress),
	{"tls_unknown_authority", fault, network, func(f *Facts) []string { return f.certificate("tls_unknown_authority") }, authorityCure},
	{"mtu_too_small", fault, network, func(f *Facts) []string {
		return some(f.Certificate != nil && f.Certificate.SmallHello, "the usual ClientHello (above 1.4 KB) gets no answer, and a smaller one is answered")
	}, nil},
	{"tls_failed", fault, ingress, func(f *Facts) []string {
		if f.Certificate != nil && f.Certificate.SmallHello || otherProtocol(f) != "" {
			return nil
		}
		return f.certificate("tls_failed")
	}, nil},
	{"clock_skew", fault, network, func(f *Facts) []string {
		return some(f.SkewMS != nil && time.Duration(*f.SkewMS).Abs()*time.Millisecond > maxSkew, skewText(deref(f.SkewMS)))
	}, func(*Facts) string {
		return "Set the clock of this machine by NTP: it misjudges when tokens expire. If several machines see the same difference, set the clocks of the replicas."
	}},
	{"api_cached", fault, ingress, (*Facts).cachedAnswers, nil},
	tokenRule("token_expired"), tokenRule("token_revoked"),
	{"subprotocol_dropped", fault, ingress, func(f *Facts) []string {
		dropped := f.attempts(func(a *Attempt) bool {
			return a.Ours && a.Status == 101 && a.sent("subprotocol") && a.Header["Sec-WebSocket-Protocol"] != "bearer"
		})
		return some(len(dropped) > 0, besides["subprotocol_dropped"](f)...)
	}, nil},
	{"extension_added", fault, ingress, func(f *Facts) []string {
		added := f.attempts(func(a *Attempt) bool { return a.Status == 101 && a.Header["Sec-WebSocket-Extensions"] != "" })
		return some(len(added) > 0, "the response 101 has Sec-WebSocket-Extensions, which this program did not ask for; clients close such a socket")
	}, nil},
	{"channel_layer_unavailable", fault, operator, func(f *Facts) []string {
		return f.lost("own", "a message sent through replica %s did not come back to it through Redis")
	}, nil},
	{"split_channel_layer", fault, operator, func(f *Facts) []string {
		return f.lost("other", "a message sent through replica %s came back to it through Redis, but did not reach replica %s")
	}, func(f *Facts) string {
		if f.given("send") {
			return ""
		}
		return cause.Cure("split_channel_layer") + " Replicas with different databases do not hear each other either: give --send to tell."
	}},
	{"lifetime_limit", fault, ingress, lifetime, nil},
	{"idle_timeout", fault, ingress, idleTimeout, nil},
	{"idle_timeout", note, ingress, harmlessTimeout, func(*Facts) string { return "Nothing: the pings of roomspa prevent it." }},
}

// tokenRule is for a token that is refused before it is sent.
func tokenRule(word string) factRule {
	return factRule{word, fault, byClient, func(f *Facts) []string {
		return some(f.Token != nil && f.Token.Refusal == word, f.tokenDetail())
	}, nil}
}

func (f *Facts) tokenDetail() string {
	if f.Token == nil {
		return ""
	}
	return f.Token.Detail
}

// some returns the evidence if a condition is met.
func some(met bool, evidence ...string) []string {
	if !met {
		return nil
	}
	return evidence
}

func deref(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

func tlsRule(word, side string) factRule {
	return factRule{word, fault, side, func(f *Facts) []string {
		if word == "tls_on_plain_port" && otherProtocol(f) != "" {
			return nil
		}
		return f.certificate(word)
	}, nil}
}

func (f *Facts) certificate(word string) []string {
	return some(f.Certificate != nil && f.Certificate.Cause == word, f.certificateDetail())
}

func (f *Facts) certificateDetail() string {
	if f.Certificate == nil {
		return ""
	}
	return f.Certificate.Detail
}

// gateways are words in the names of authorities with which firewalls sign anew.
var gateways = []string{
	"gateway", "proxy", "inspect", "firewall", "filter", "zscaler", "netskope", "forti", "palo alto", "sophos", "bluecoat", "blue coat", "symantec web",
	"umbrella", "mcafee", "trellix", "kaspersky", "avast", "eset", "bitdefender", "check point", "checkpoint", "watchguard", "sonicwall", "barracuda", "untangle", "mitm",
}

// authorityCure is for the side that can act: an authority whose name is that of a gateway is the
// client's network, and one that is not the authority given may be.
func authorityCure(f *Facts) string {
	const exempt = "A gateway of the client's network ends TLS and signs anew: exempt the host from its inspection, or install its CA on the client. The certificate of the server is not the cause."
	switch {
	case f.Certificate == nil:
		return ""
	case containsAny(f.Certificate.Issuer, gateways...):
		return exempt
	case f.given("ca"):
		return "The authority is not the one given by --ca: either a gateway in between has signed it (exempt the host from its inspection, or install its CA on the client), or the server uses another certificate than meant."
	}
	return ""
}

// unreached returns the evidence if no address accepts connections, and the first fails so.
func (f *Facts) unreached(how string) (all []string) {
	for _, a := range f.Addresses {
		if a.Error == "" || f.Addresses[0].Error != how {
			return nil
		}
		all = append(all, fmt.Sprintf("%s port %s: %s", a.IP, f.Port, errorTexts[a.Error]))
	}
	if len(all) == 0 {
		return nil
	}
	if len(f.OtherPorts) > 0 {
		all = append(all, "the same host accepts connections on port "+strings.Join(f.OtherPorts, ", "))
	}
	all[len(all)-1] += f.proxyHint()
	return all
}

// deadAddresses returns the addresses that accept no connections while others do. One of the two
// families may just not be routed from this machine, which harms no client.
func (f *Facts) deadAddresses(unrouted bool) (all []string) {
	var alive []string
	for _, a := range f.Addresses {
		switch {
		case a.Error == "":
			alive = append(alive, a.IP)
		case (a.Error == "unreachable") == unrouted:
			text := map[string]string{"refused": "refuses connections", "timeout": "does not answer", "unreachable": "cannot be reached from this machine"}[a.Error]
			all = append(all, a.IP+" "+text)
		}
	}
	if len(alive) == 0 || len(all) == 0 {
		return nil
	}
	return append(all, "clients use "+strings.Join(alive, ", "))
}

func (f *Facts) proxyHint() string {
	if f.EnvironmentProxy == "" {
		return ""
	}
	return " (connecting directly; diagnose does not use the environment's proxy " + f.EnvironmentProxy + ")"
}

// lost returns the evidence for messages that did not arrive.
func (f *Facts) lost(how, format string) (all []string) {
	for _, m := range f.Messages {
		if m.Error == how {
			args := []any{m.From, m.To}
			all = append(all, fmt.Sprintf(format, args[:strings.Count(format, "%s")]...))
		}
	}
	return all
}

// known returns the word of a replica if package cause has it, or if the replica, which may be
// newer, says itself what to do. Otherwise it returns instead.
func known(word, advice, instead string) string {
	if _, ok := cause.Find(word); ok || word != "" && advice != "" {
		return word
	}
	return instead
}
