package cause

var seenByDiagnose = Chapter{
	Title: "What only a client sees",
	About: "What `roomspa diagnose URL` says beside the words above.",
	Rows: []Entry{
		{"connection_unreachable", "There is no way to the host.", seen1006, noLine, "", "Look at the client's own network, at VPNs and routes; is the address of the name a private one?"},
		{"tls_failed", "TLS could not be agreed on.", seen1006, noLine, "", "Compare the TLS versions and ciphers of the two sides (TLS 1.2 or later); look whether a client certificate is asked for, and at the log of whatever ends TLS."},
		{"no_answer", "The connection stands, and nothing or nothing useful is answered.", seen1006 + " After a long wait.", noLine, "", "Look what listens on that port: a load balancer without a target, a proxy that waits for the PROXY protocol, a hung process."},
		{"not_roomspa", "A WebSocket opens, and what answers is not roomspa.", "An open socket that says nothing, or something else.", noLine, "", "Correct the host and path in the URL, or the rule of the proxy for /ws/."},
		{"proxy_refused", "Something in front of roomspa refuses the request.", seen1006 + " HTTP 401, 403, 407, 413, 414 or 431 without Roomspa-Ref.", noLine, "", "Look at the rules of the web application firewall, at IP lists, at log-ins of the proxy, and at its limits for headers."},
		{"unexpected_answer", "The answer is none that roomspa or a usual proxy gives.", "It depends.", "", "", "The detail has what was answered: look which program says so."},
		{"draining", "The replica shuts down and takes no new sockets.", seen1006 + " HTTP 503 with Retry-After.", refusedLine + "503 unavailable", beforeMetric + `{reason="http_503"}`, "During an update: nothing, another replica answers. For long: look why the proxy still sends handshakes to it (endpoints, --shutdown-wait)."},
		{"bad_credentials", "The identifier or the password is wrong.", "HTTP 401 of /login/.", "[Login] …", "roomspa_logins_total", "Type them again; roomspa user show says whether the user exists and is active."},
		{"too_many_attempts", "There were too many wrong sign-ins of this account or address.", "HTTP 429 of /login/ with Retry-After.", "[Login] …", "roomspa_logins_throttled_total", "Wait as long as Retry-After says; an attack, or an app with an old password."},
		{"ops_unreachable", "An ops listener that was named does not answer.", "Nothing.", noLine, "", "Correct the address (--ops http://<pod>:9090); look whether the replica runs, and at network policies."},
		{"interrupted", "The diagnosis was interrupted.", "Nothing.", noLine, "", "Let it run to its end."},
	},
}
