package cause

// What the outside sees before anything of ours has answered.
const (
	seen1006 = "A browser reports 1006 and no reason; other clients a failed handshake."
	noLine   = "" // the request never reaches a replica
)

var onTheWay = Chapter{
	Title: "On the way",
	About: "What stands between a client and a replica. The replicas mostly hear nothing of these: `roomspa diagnose URL` finds them from the client's side.",
	Rows: []Entry{
		{"name_not_found", "The host's name cannot be resolved.", seen1006, noLine, "", "Correct the host in the URL, or create its DNS record; look at the client's resolver."},
		{"connection_refused", "The host answers, and nothing listens on that port.", seen1006, noLine, "", "Correct the port in the URL; look whether the ingress or load balancer runs and has a listener there."},
		{"connection_timeout", "No answer to the attempt to connect: packets are dropped.", seen1006 + " After a long wait.", noLine, "", "Look at firewalls, security groups and network policies, and whether the address of the name is the right one."},
		{"tls_expired", "The certificate is over, or is not valid yet.", seen1006, noLine, "", "Renew the certificate at whatever ends TLS; if it is valid, set the client's clock."},
		{"tls_wrong_name", "The certificate is for another name.", seen1006, noLine, "", "Connect by a name that is in the certificate, or issue one for this name; look whether SNI reaches the right listener."},
		{"tls_unknown_authority", "The certificate is signed by somebody whom the client does not trust.", seen1006, noLine, "", "Use a certificate of a public authority, or give the client the private authority's certificate."},
		{"tls_incomplete_chain", "The server sends its certificate without the intermediate one.", seen1006 + " Some browsers know the missing one, and work.", noLine, "", "Configure the full chain at whatever ends TLS: first the certificate, then the intermediates."},
		{"tls_on_plain_port", "TLS was spoken to a port that speaks plain HTTP.", seen1006, "", "", "Use ws:// for that port, or the port that ends TLS with wss://."},
		{"plain_on_tls_port", "Plain HTTP was spoken to a port that wants TLS.", seen1006 + " HTTP 400 at most.", noLine, "", "Use wss:// in the URL."},
		{"upgrade_stripped", "A proxy does not forward the headers Upgrade and Connection.", seen1006 + " HTTP 426.", "[Handshake] Refused before the upgrade: 426 upgrade_required", `roomspa_handshakes_total{reason="http_426"}`, "Let the proxy forward them; in nginx: proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade, proxy_set_header Connection \"upgrade\"."},
		{"http_1_0_proxy", "A proxy speaks HTTP/1.0 to the replica, which has no upgrade.", seen1006 + " HTTP 426.", "[Handshake] Refused before the upgrade: 426 upgrade_required", `roomspa_handshakes_total{reason="http_426"}`, "Let the proxy speak HTTP/1.1; in nginx: proxy_http_version 1.1."},
		{"http_2_only", "What answers speaks HTTP/2 only, or lacks WebSockets over HTTP/2 (RFC 8441).", seen1006, noLine, "", "Allow HTTP/1.1 (ALPN http/1.1) beside HTTP/2 on that listener, and HTTP/1.1 towards the replicas."},
		{"bad_gateway", "A proxy answers 502: it could not reach a replica, or got an answer that it did not understand.", seen1006 + " HTTP 502.", noLine, "", "Look at the proxy's own log; compare its target with the Service's port 8000 and plain HTTP, and look at network policies."},
		{"no_ready_replica", "A proxy answers 503 (Traefik: 404) by itself: no replica is ready.", seen1006 + " HTTP 503 or 404 without Roomspa-Ref.", "[Readiness] Check failed: <check>: <cause>", "roomspa_dependency_up 0", "Ask /readyz of a replica what is wrong and since when (kubectl get endpoints shows none); mend that. It heals by itself then. Replicas are ready, and it is 404: the ingress or route names another host, or another class."},
		{"gateway_timeout", "A proxy answers 504: it waited for a replica in vain.", seen1006 + " HTTP 504.", noLine, "roomspa_handshake_seconds", "Look whether the replicas are overloaded or their network is cut, and at the proxy's time-out for the answer."},
		{"idle_timeout", "Something in between cuts connections that are silent for a while.", "1006 after a steady time without traffic.", "[Closes] A proxy closes idle connections after about <time>", "roomspa_proxy_idle_timeout_seconds", "Raise the proxy's idle time-out above --ping-interval (25 s), or lower --ping-interval below it."},
		{"frame_size_limited", "Something in between cuts connections on which a larger frame passes.", "1006 on a large message, small ones pass.", "[…Consumer] WebSocket disconnected code=1006", `roomspa_closes_total{code="1006"}`, "Raise the proxy's or firewall's limit above --max-message-bytes (64 KiB), or switch its WebSocket inspection off."},
		{"page_instead_of_socket", "A web page answers where the WebSocket should be.", seen1006 + " HTTP 200 with HTML.", noLine, "", "Route the path /ws/ to roomspa in front of the rule that serves the page; look at log-in walls and captive portals."},
		{"wrong_path_prefix", "A proxy changes the path, or the client's URL lacks or has a prefix.", seen1006 + " HTTP 404.", "[Handshake] Refused before the upgrade: 404 no_such_path", `roomspa_handshakes_total{reason="http_404"}`, "Compare the path in the log with /ws/chat/{customer_id}/{therapist_id}/: let the proxy pass it on as it is."},
		{"redirect", "A redirect answers. WebSocket clients follow none.", seen1006 + " HTTP 301, 302, 307 or 308.", noLine, "", "Use the address that the redirect names: mostly wss:// for ws://, or the other host name."},
		{"clock_skew", "The clocks of the client, of the tokens' issuer and of the replicas differ.", "4001 token_expired at once, or token_invalid with not_yet_valid.", "[JWTAuthMiddleware] Invalid token: not_yet_valid", `roomspa_handshakes_total{reason="token_invalid"}`, "Run NTP on the issuer and on the replicas; 5 s are allowed for."},
	},
}

const (
	refusedLine  = "[Handshake] Refused before the upgrade: "
	beforeMetric = "roomspa_handshakes_total"
)

var beforeTheUpgrade = Chapter{
	Title: "Before the upgrade",
	About: "Answered over plain HTTP with a problem document (RFC 9457). A browser shows only 1006 for these; the `ref` is in the header `Roomspa-Ref`.",
	Rows: []Entry{
		{"no_such_path", "There is no such path here.", seen1006 + " HTTP 404.", refusedLine + "404 no_such_path", beforeMetric + `{reason="http_404"}`, "Compare the path with the ones that the answer lists. Is a proxy adding or taking away a prefix?"},
		{"method_not_allowed", "The request is no GET.", "HTTP 405.", refusedLine + "405 method_not_allowed", beforeMetric + `{reason="http_405"}`, "A WebSocket handshake is a GET: mend the client, or a proxy that changes the method."},
		{"upgrade_required", "It is no WebSocket handshake of version 13.", seen1006 + " HTTP 426.", refusedLine + "426 upgrade_required", beforeMetric + `{reason="http_426"}`, "The detail says what is missing. With Sec-WebSocket-Key and no Upgrade it is a proxy: let it forward Upgrade and Connection over HTTP/1.1."},
		{"bad_websocket_key", "Sec-WebSocket-Key is not 16 bytes in base64.", "HTTP 400.", refusedLine + "400 bad_websocket_key", beforeMetric + `{reason="http_400"}`, "Use a WebSocket library, or a proxy that does not rewrite the header."},
		{"origin_refused", "A page of this origin may not connect.", seen1006 + " From a browser only. HTTP 403.", refusedLine + "403 origin_refused", beforeMetric + `{reason="http_403"}`, "Put the page's origin on --origins (ROOMSPA_ORIGINS), as in https://app.example.com. Does a proxy rewrite Host?"},
		{"unavailable", "The replica shuts down, or holds as many sockets as it can, or its memory is nearly used up: the detail says which.", seen1006 + " HTTP 503 with Retry-After.", refusedLine + "503 unavailable", beforeMetric + `{reason="http_503"}`, "During an update: nothing, another replica answers. Else add replicas, or raise --hard-limit."},
		{"upgrade_failed", "The handshake was good, and the connection ended before the answer was written.", seen1006, "[Handshake] Upgrade failed: <cause>", beforeMetric + `{reason="upgrade_failed"}`, "Single ones are clients that hung up. Many: look at the proxy in front, and at open files (ulimit -n)."},
	},
}
