package cause

const (
	seen1006 = "Browsers report 1006 without a reason; other clients report a failed handshake."
	noLine   = "" // the request does not reach a replica
)

var onTheWay = Chapter{
	Title: "Between client and replica",
	About: "Faults of the network and of proxies. Most of them leave no log line on the replicas; `roomspa diagnose URL` finds them from the client's side.",
	Rows: []Entry{
		{"name_not_found", "The host name cannot be resolved.", seen1006, noLine, "", "Correct the host in the URL or create its DNS record. Check the client's resolver."},
		{"connection_refused", "The host is reachable, but nothing listens on the port.", seen1006, noLine, "", "Correct the port in the URL. Check that the ingress or load balancer runs and has a listener on it."},
		{"connection_timeout", "The connection attempt timed out: packets are dropped.", seen1006 + " After a long wait.", noLine, "", "Check firewalls, security groups and network policies, and that the host name resolves to the right address."},
		{"tls_expired", "The certificate has expired or is not valid yet.", seen1006, noLine, "", "Renew the certificate where TLS is terminated. If it is valid, correct the client's clock."},
		{"tls_wrong_name", "The certificate is for another host name.", seen1006, noLine, "", "Connect with a name that the certificate covers, or issue a certificate for this name. Check that SNI selects the right listener."},
		{"tls_unknown_authority", "The client does not trust the authority that signed the certificate.", seen1006, noLine, "", "Use a certificate of a public authority, or install the private authority's certificate on the client."},
		{"tls_incomplete_chain", "The server does not send the intermediate certificate.", seen1006 + " Browsers that have the intermediate certificate connect.", noLine, "", "Configure the full chain where TLS is terminated: the certificate first, then the intermediates."},
		{"tls_on_plain_port", "The client uses TLS on a port that speaks plain HTTP.", seen1006, "", "", "Use ws:// for this port, or wss:// with the port that terminates TLS."},
		{"plain_on_tls_port", "The client uses plain HTTP on a port that requires TLS.", seen1006 + " At most HTTP 400.", noLine, "", "Use wss:// in the URL."},
		{"upgrade_stripped", "A proxy does not forward the headers Upgrade and Connection.", seen1006 + " HTTP 426.", "[Handshake] Refused before the upgrade: 426 upgrade_required", `roomspa_handshakes_total{reason="http_426"}`, "Configure the proxy to forward them. In nginx: proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade, proxy_set_header Connection \"upgrade\"."},
		{"http_1_0_proxy", "A proxy uses HTTP/1.0 towards the replica, which does not support upgrades.", seen1006 + " HTTP 426.", "[Handshake] Refused before the upgrade: 426 upgrade_required", `roomspa_handshakes_total{reason="http_426"}`, "Configure the proxy to use HTTP/1.1. In nginx: proxy_http_version 1.1."},
		{"http_2_only", "The server accepts HTTP/2 only, or does not support WebSockets over HTTP/2 (RFC 8441).", seen1006, noLine, "", "Enable HTTP/1.1 (ALPN http/1.1) on this listener in addition to HTTP/2, and use HTTP/1.1 towards the replicas."},
		{"bad_gateway", "A proxy answers 502: it cannot reach a replica or does not understand its answer.", seen1006 + " HTTP 502.", noLine, "", "Check the proxy's log. Compare its backend with the Service's port 8000 and plain HTTP. Check network policies."},
		{"no_ready_replica", "A proxy answers 503 (Traefik: 404) because no replica is ready.", seen1006 + " HTTP 503 or 404 without Roomspa-Ref.", "[Readiness] Check failed: <check>: <cause>", "roomspa_dependency_up 0", "Query /readyz of a replica for the cause and its start, and fix it; replicas then become ready without a restart. kubectl get endpoints shows none meanwhile. If replicas are ready and the answer is 404, the ingress or route has another host or class."},
		{"gateway_timeout", "A proxy answers 504: the replica did not answer in time.", seen1006 + " HTTP 504.", noLine, "roomspa_handshake_seconds", "Check whether the replicas are overloaded or unreachable, and the proxy's response timeout."},
		{"idle_timeout", "A proxy closes connections that are idle for some time.", "1006 after a constant time without traffic.", "[Closes] A proxy closes idle connections after about <time>", "roomspa_proxy_idle_timeout_seconds", "Raise the proxy's idle timeout above --ping-interval (25 s), or lower --ping-interval below the timeout."},
		{"frame_size_limited", "A proxy or firewall closes connections that carry a larger frame.", "1006 on large messages; small ones pass.", "[…Consumer] WebSocket disconnected code=1006", `roomspa_closes_total{code="1006"}`, "Raise its limit above --max-message-bytes (64 KiB), or turn off its WebSocket inspection."},
		{"page_instead_of_socket", "A web page is served at the path of the WebSocket.", seen1006 + " HTTP 200 with HTML.", noLine, "", "Route /ws/ to roomspa before the rule that serves the page. Check for login pages of proxies and captive portals."},
		{"wrong_path_prefix", "A proxy rewrites the path, or the URL has a wrong prefix.", seen1006 + " HTTP 404.", "[Handshake] Refused before the upgrade: 404 no_such_path", `roomspa_handshakes_total{reason="http_404"}`, "Compare the path in the log with /ws/chat/{customer_id}/{therapist_id}/ and configure the proxy to forward the path unchanged."},
		{"redirect", "The server redirects. WebSocket clients do not follow redirects.", seen1006 + " HTTP 301, 302, 307 or 308.", noLine, "", "Use the target of the redirect: usually wss:// for ws://, or the other host name."},
		{"clock_skew", "The clocks of the client, the token issuer and the replicas differ.", "4001 token_expired with a new token, or token_invalid with not_yet_valid.", "[JWTAuthMiddleware] Invalid token: not_yet_valid", `roomspa_handshakes_total{reason="token_invalid"}`, "Run NTP on the issuer and on the replicas. A skew of 5 s is tolerated."},
	},
}

const (
	refusedLine  = "[Handshake] Refused before the upgrade: "
	beforeMetric = "roomspa_handshakes_total"
)

var beforeTheUpgrade = Chapter{
	Title: "Before the upgrade",
	About: "Handshakes that are refused with an HTTP status and a problem document (RFC 9457). Browsers show only 1006 for them. The `ref` is in the header `Roomspa-Ref`.",
	Rows: []Entry{
		{"no_such_path", "The path does not exist.", seen1006 + " HTTP 404.", refusedLine + "404 no_such_path", beforeMetric + `{reason="http_404"}`, "Compare the path with those that the answer lists. Check whether a proxy adds or removes a prefix."},
		{"method_not_allowed", "The request method is not GET.", "HTTP 405.", refusedLine + "405 method_not_allowed", beforeMetric + `{reason="http_405"}`, "Send a GET: a WebSocket handshake is one. Check whether a proxy changes the method."},
		{"upgrade_required", "The request is not a WebSocket handshake of version 13.", seen1006 + " HTTP 426.", refusedLine + "426 upgrade_required", beforeMetric + `{reason="http_426"}`, "The detail says what is missing. If Sec-WebSocket-Key is present without Upgrade, configure the proxy to forward Upgrade and Connection over HTTP/1.1."},
		{"bad_websocket_key", "Sec-WebSocket-Key is not 16 bytes in base64.", "HTTP 400.", refusedLine + "400 bad_websocket_key", beforeMetric + `{reason="http_400"}`, "Use a WebSocket library. Check whether a proxy rewrites the header."},
		{"several_origins", "The handshake has several Origin headers.", seen1006 + " HTTP 400.", "[Handshake] Refused before the upgrade: 400 several_origins", `roomspa_handshakes_total{reason="http_400"}`, "Send one. If the client does, a proxy in front adds another one: remove that."},
		{"origin_refused", "The origin of the page is not allowed.", seen1006 + " Only from browsers. HTTP 403.", refusedLine + "403 origin_refused", beforeMetric + `{reason="http_403"}`, "Add the origin to --origins (ROOMSPA_ORIGINS), for example https://app.example.com. Check whether a proxy rewrites Host."},
		{"unavailable", "The replica is shutting down or has reached its connection or memory limit; the detail says which.", seen1006 + " HTTP 503 with Retry-After.", refusedLine + "503 unavailable", beforeMetric + `{reason="http_503"}`, "During an update: nothing, another replica answers. Otherwise add replicas, or raise --hard-limit."},
		{"upgrade_failed", "The connection was lost before the handshake was answered.", seen1006, "[Handshake] Upgrade failed: <cause>", beforeMetric + `{reason="upgrade_failed"}`, "A few: clients that disconnected. Many: check the proxy in front and the open file limit (ulimit -n)."},
	},
}
