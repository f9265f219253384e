package diagnose

import "strings"

// unexpected is the cause of an answer that no rule explains.
const unexpected = "unexpected_answer"

// attemptRules explain an attempt that failed. The first rule that matches counts, so a status is
// turned into a cause only as far as nothing else of the same run contradicts it. What no rule
// matches has the cause that roomspa itself gives.
var attemptRules = []struct {
	cause, side string
	when        func(f *Facts, a *Attempt) bool
}{
	{"api_cached", ingress, func(_ *Facts, a *Attempt) bool { return a.servedToStranger() }},

	// Headers and parameters that roomspa did not get.
	{"host_rewritten", ingress, func(f *Facts, a *Attempt) bool {
		return a.Code == "origin_refused" && strings.HasPrefix(a.Sent, "its own origin")
	}},
	{"subprotocol_dropped", ingress, func(_ *Facts, a *Attempt) bool {
		return a.Ours && a.sent("subprotocol") && (a.Code == "token_missing" || a.Status == 101 && a.Code == "" && a.Header["Sec-WebSocket-Protocol"] != "bearer")
	}},
	{"authorization_dropped", ingress, func(f *Facts, a *Attempt) bool {
		return a.Ours && a.sent("Authorization") && (a.Code == "token_missing" || strings.HasPrefix(a.Code, "token_") && !refusedSignature(a) && f.any(acceptedElsewhere))
	}},
	{"query_stripped", ingress, func(f *Facts, a *Attempt) bool {
		return a.Ours && a.sent("in the query") && (a.Code == "token_missing" || a.Status == 101 && a.Code == "" && a.Error == "" && a.Frames != "")
	}},
	{"replicas_differ", operator, func(_ *Facts, a *Attempt) bool {
		return a.sent("ticket") && strings.Contains(a.Detail, "bad_ticket")
	}},

	// Tokens that others accept.
	{"clock_skew", operator, func(f *Facts, a *Attempt) bool {
		fresh := f.Token != nil && (f.Token.Minted || f.Token.AgeS < 60 && f.Token.Refusal == "")
		return fresh && (a.Code == "token_expired" || strings.Contains(a.Detail, "not_yet_valid"))
	}},
	{"different_secrets", operator, func(f *Facts, a *Attempt) bool {
		return refusedSignature(a) && f.any(acceptedElsewhere)
	}},

	// roomspa did not answer, and the answer says why.
	{"preflight_refused", ingress, func(_ *Facts, a *Attempt) bool { return a.stranger() && a.Probe == "preflight" && a.Status != 429 }},
	{"client_certificate_wanted", ingress, func(_ *Facts, a *Attempt) bool {
		return a.stranger() && (a.says("certificate was sent", "client certificate") || a.Status == 495 || a.Status == 496) ||
			a.Error == "tls" && (strings.Contains(a.Text, "certificate required") || strings.Contains(a.Text, "client certificate"))
	}},
	{"plain_on_tls_port", byClient, func(f *Facts, a *Attempt) bool {
		return !f.TLS && !a.Ours && (f.speaks("tls") || a.says("plain HTTP request was sent to HTTPS", "HTTP request to an HTTPS"))
	}},
	{"captive_portal", network, captive},
	{"proxy_login", ingress, func(_ *Facts, a *Attempt) bool {
		return a.stranger() && (a.Status == 401 || a.Status == 407 || a.redirects() && loginWords(strings.Replace(a.Header["Location"], a.Path, "", 1)))
	}},
	{"redirect", byClient, func(_ *Facts, a *Attempt) bool { return a.stranger() && a.redirects() }},
	{"proxy_limits_requests", ingress, func(f *Facts, a *Attempt) bool {
		return a.stranger() && heldLimit(f) == 0 && (a.Status == 429 || limited(a) && f.reached() && f.failed("again"))
	}},
	{"proxy_limits_connections", ingress, func(f *Facts, a *Attempt) bool { return a.stranger() && limited(a) && heldLimit(f) > 0 }},
	{"proxy_limits_size", ingress, func(_ *Facts, a *Attempt) bool {
		return a.stranger() && (a.Status == 413 || a.Status == 414 || a.Status == 431 || a.Status == 400 && a.says("too large", "too long"))
	}},
	{"ops_port_in_url", byClient, func(_ *Facts, a *Attempt) bool { return a.Status == 404 && strings.Contains(a.Body+a.Detail, "/livez") }},
	{"extension_added", ingress, func(_ *Facts, a *Attempt) bool { return a.Error == "extension" }},
	{"no_route_for_host", ingress, func(f *Facts, a *Attempt) bool {
		return a.Status == 421 || a.Status == 404 && a.stranger() && !f.reached() && f.Prefix == "" && !maybeTraefik(f, a)
	}},
	{"wrong_protocol_on_port", byClient, func(f *Facts, a *Attempt) bool { return !a.Ours && otherProtocol(f) != "" }},
	{"upgrade_stripped", ingress, func(_ *Facts, a *Attempt) bool {
		return a.stranger() && a.Status == 101 && a.Text == badUpgrade || a.Ours && a.Status == 426 && !strings.Contains(a.Detail, "HTTP/1.0")
	}},
	{"http_1_0_proxy", ingress, func(_ *Facts, a *Attempt) bool { return a.Ours && a.Status == 426 }},
	{"not_roomspa", ingress, func(f *Facts, a *Attempt) bool { return a.stranger() && a.Status == 101 && !f.reached() }},
	{"wrong_path_prefix", ingress, func(f *Facts, a *Attempt) bool {
		return a.Status == 404 && (a.Ours || f.Prefix != "" && !f.reached())
	}},

	// Some requests reach roomspa, and others do not.
	{"bad_gateway", ingress, func(f *Facts, a *Attempt) bool { return a.stranger() && a.Status == 502 && f.mixed(a) }},
	{"gateway_timeout", ingress, func(f *Facts, a *Attempt) bool { return a.stranger() && a.Status == 504 && f.mixed(a) }},
	{"other_backend", ingress, func(f *Facts, a *Attempt) bool { return a.stranger() && f.mixed(a) }},
	{"proxy_refuses_upgrade", ingress, func(f *Facts, a *Attempt) bool {
		return a.stranger() && a.socket() && f.oursAt("http", "/ws/test/") && !f.any(func(b *Attempt) bool { return b.Ours && b.Status == 101 })
	}},
	{"path_not_routed", ingress, func(f *Facts, a *Attempt) bool { return a.stranger() && f.reached() && !f.oursAt("", a.Path) }},

	// Nothing reaches roomspa.
	{"http_2_only", ingress, func(f *Facts, a *Attempt) bool {
		return !a.Ours && (f.speaks("http2") || a.Status == 426 || a.Status == 505)
	}},
	{"proxy_sees_no_replica", ingress, func(f *Facts, a *Attempt) bool {
		return a.stranger() && (a.Status == 503 || a.Status == 404) && (f.reached() || f.ready())
	}},
	{"no_ready_replica", ingress, func(_ *Facts, a *Attempt) bool { return a.stranger() && (a.Status == 503 || a.Status == 404) }},
	{"bad_gateway", ingress, func(_ *Facts, a *Attempt) bool { return a.stranger() && a.Status == 502 }},
	{"gateway_timeout", ingress, func(_ *Facts, a *Attempt) bool { return a.stranger() && a.Status == 504 }},
	{"proxy_refused", ingress, func(_ *Facts, a *Attempt) bool { return a.stranger() && (a.Status == 403 || a.Status == 451) }},
	{"page_instead_of_socket", ingress, func(_ *Facts, a *Attempt) bool { return a.stranger() && a.Status >= 200 && a.Status < 300 }},

	// roomspa answered before the upgrade.
	{"draining", operator, func(_ *Facts, a *Attempt) bool {
		return a.Ours && a.Status == 503 && strings.Contains(a.Detail, "shutting down")
	}},
	{"busy", operator, func(_ *Facts, a *Attempt) bool { return a.Ours && a.Status == 503 && a.Code == "unavailable" }},

	// Silence. The same request of another size, or of another kind, tells more.
	{"proxy_protocol_wanted", ingress, func(f *Facts, a *Attempt) bool { return !a.Ours && f.speaks("proxy_protocol") }},
	{"mtu_too_small", network, func(f *Facts, a *Attempt) bool {
		small, large := f.sizes()
		return a.Error != "" && small > 0 && large > 0 && large <= 2048
	}},
	{"frame_size_limited", ingress, func(_ *Facts, a *Attempt) bool {
		return a.Probe == "echo" && a.Bytes > 2048 && (a.Error != "" || a.Close != 0 && (a.Code == "" || a.Code == "abnormal" || a.Close == 1009)) && a.Code != "too_large"
	}},
	{"frames_held_back", ingress, func(_ *Facts, a *Attempt) bool {
		return a.Ours && a.Status == 101 && a.Error == "timeout" && a.Frames == "" && (a.Probe == "upgrade" || a.Probe == "echo")
	}},
	{"replica_hung", operator, func(f *Facts, a *Attempt) bool { return a.Error == "timeout" && f.hangs() }},
	{"slow", operator, func(_ *Facts, a *Attempt) bool { return a.Probe == "sign-in" && a.Error == "timeout" }},
	{"no_answer", ingress, func(_ *Facts, a *Attempt) bool {
		return a.Error == "timeout" || a.Status == 0 && (a.Error == "reset" || a.Error == "closed")
	}},
	{"connection_refused", ingress, func(_ *Facts, a *Attempt) bool { return a.Error == "refused" }},
	{"connection_timeout", network, func(_ *Facts, a *Attempt) bool { return a.Error == "dial_timeout" }},
	{"connection_unreachable", network, func(_ *Facts, a *Attempt) bool { return a.Error == "unreachable" }},
	{"tls_failed", ingress, func(_ *Facts, a *Attempt) bool { return a.Error == "tls" }},
	{"abnormal", ingress, func(_ *Facts, a *Attempt) bool {
		return a.Ours && (a.Error == "reset" || a.Error == "closed") || a.Close == 1006
	}},
}
