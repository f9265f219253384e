package cause

var seenByDiagnose = Chapter{
	Title: "Reported by diagnose only",
	About: "Causes that only `roomspa diagnose URL` reports, in addition to those above.",
	Rows: []Entry{
		{"connection_unreachable", "The host is unreachable.", seen1006, noLine, "", "Check the client's network, VPN and routes, and whether the host name resolves to a private address."},
		{"tls_failed", "The TLS handshake failed.", seen1006, noLine, "", "Compare the TLS versions and ciphers of both sides (TLS 1.2 or later). Check whether a client certificate is required, and the log where TLS is terminated."},
		{"no_answer", "The connection is established, but there is no usable answer.", seen1006 + " After a long wait.", noLine, "", "Check what listens on the port: a load balancer without a backend, a proxy that waits for the PROXY protocol, or a hung process."},
		{"not_roomspa", "A WebSocket opens, but the server is not roomspa.", "An open socket with no frames or unknown ones.", noLine, "", "Correct host and path in the URL, or the proxy's rule for /ws/."},
		{"proxy_refused", "A proxy in front of roomspa refuses the request.", seen1006 + " HTTP 401, 403, 407, 413, 414 or 431 without Roomspa-Ref.", noLine, "", "Check the rules of the web application firewall, IP lists, authentication of the proxy, and its header limits."},
		{"unexpected_answer", "The answer is not one of roomspa or of a common proxy.", "It depends on the answer.", "", "", "The detail has the answer: find the program that sends it."},
		{"draining", "The replica is shutting down and accepts no new sockets.", seen1006 + " HTTP 503 with Retry-After.", refusedLine + "503 unavailable", beforeMetric + `{reason="http_503"}`, "During an update: nothing, another replica answers. If it lasts, check why the proxy still sends handshakes to it (endpoints, --shutdown-wait)."},
		{"bad_credentials", "The identifier or the password is wrong.", "HTTP 401 of /login/.", "[Login] …", "roomspa_logins_total", "Check both. roomspa user show tells whether the user exists and is active."},
		{"too_many_attempts", "Too many failed sign-ins for this account or address.", "HTTP 429 of /login/ with Retry-After.", "[Login] …", "roomspa_logins_throttled_total", "Wait for the time in Retry-After. Check for an attack or an app with an old password."},
		{"ops_unreachable", "A given ops listener does not answer.", "Nothing.", noLine, "", "Correct the address (--ops http://<pod>:9090). Check that the replica runs, and network policies."},
		{"address_unreachable_here", "One address of the name cannot be reached from this machine, and others can: mostly IPv6 without a route.", "Nothing: clients use the other address.", noLine, "", "Nothing, if clients have no route to it either. Otherwise repair the route."},
		{"postgres_slow", "Round trips to Postgres take too long.", "Slow handshakes, history and acknowledgements.", "", "roomspa_handshake_seconds", "Look at the network between the replicas and Postgres (same region and zone), then at its load: pg_stat_activity, its disk and CPU, connections that wait for the pool."},
		{"redis_slow", "Round trips to Redis take too long.", "Slow handshakes, and messages that arrive late.", "", "", "Look at the network between the replicas and Redis (same region and zone), then at its load: SLOWLOG GET, redis-cli --latency, its CPU."},
		{"stores_slow", "Postgres or Redis are slow: what needs them takes long, what needs neither does not.", "Slow handshakes.", "", "", "Run diagnose with --ops for each replica and a room: it then names the store. roomspa check prints the latency of each."},
		{"slow", "A step takes longer than it should, and no store is the reason.", "Slow connections.", noLine, "", "Compare from another network: if only this one is slow, it is the client's. Otherwise look at the load of the proxy and of the replicas (CPU limits)."},
		{"replica_warning", "A replica warns of something that this version of the program does not know.", "It depends on the warning.", "", "", "The detail has the warning. Use a roomspa as new as the replicas."},
		{"interrupted", "The diagnosis was interrupted.", "Nothing.", noLine, "", "Run it to its end."},
	},
}
