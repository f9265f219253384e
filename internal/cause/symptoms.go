package cause

// A Symptom is what people report, with the one command that finds its cause.
type Symptom struct {
	Sees    string
	Command string
	Causes  []string // the usual ones, the most frequent first
}

const (
	diagnoseServer = "roomspa diagnose https://host"
	diagnoseRoom   = "roomspa diagnose wss://host/ws/chat/1/2/ --identifier EMAIL"
	checkEach      = "roomspa check, in the environment of each replica"
	diagnoseInside = diagnoseRoom + " --ops http://replica:9090"
)

// Symptoms returns what people report, the most frequent first. The caller must not modify the
// result.
func Symptoms() []Symptom { return symptoms }

var symptoms = []Symptom{
	{"Customers see 1006 since midnight, all of them", diagnoseServer + " --idle 90s", []string{"tls_expired", "no_ready_replica", "name_not_found", "bad_gateway", "upgrade_stripped", "idle_timeout"}},
	{"1006 at once in browsers only; the apps connect", diagnoseRoom + " --origin https://app.example.com", []string{"origin_refused", "host_rewritten", "subprotocol_dropped", "extension_added"}},
	{"1006 after exactly 60 s (or another constant time)", diagnoseServer + " --idle 90s", []string{"idle_timeout", "lifetime_limit"}},
	{"It works on Wi-Fi only, on the mobile network only, or everywhere but in the office; run it on that network", diagnoseServer, []string{"captive_portal", "mtu_too_small", "tls_unknown_authority", "connection_timeout", "proxy_refused"}},
	{"One in two or three connections fails", diagnoseInside + " (--ops for each replica)", []string{"replica_hung", "other_backend", "bad_gateway", "address_dead", "different_secrets", "replicas_differ"}},
	{"It works, and fails for the second device, tab or colleague", diagnoseRoom, []string{"proxy_limits_connections", "proxy_limits_requests", "too_many_sockets"}},
	{"Everything is slow: connecting takes seconds", diagnoseInside, []string{"postgres_slow", "redis_slow", "stores_slow", "slow"}},
	{"The socket opens, and nothing comes", diagnoseRoom, []string{"query_stripped", "frames_held_back", "not_roomspa"}},
	{"Short messages arrive, long ones end in 1006 or hang", diagnoseServer, []string{"frame_size_limited", "mtu_too_small", "too_large"}},
	{"Somebody sees another user's conversations, or the list is out of date", diagnoseRoom, []string{"api_cached"}},
	{"Only users of one issuer get 4001; give a token of that issuer", diagnoseServer + " --token-file FILE", []string{"bad_signature", "unknown_key", "wrong_issuer", "wrong_audience"}},
	{"4001 for everybody, or after a while", diagnoseRoom, []string{"bad_signature", "malformed", "clock_skew", "token_expired", "subprotocol_dropped"}},
	{"The history is empty or answers 401, and chat works", diagnoseRoom, []string{"authorization_dropped", "path_not_routed", "query_stripped"}},
	{"Sign-in fails for everybody", diagnoseRoom, []string{"path_not_routed", "channel_layer_unavailable", "redis_permission_denied", "untrusted_proxy", "too_many_attempts"}},
	{"1011, or messages are not acknowledged", diagnoseInside + " --send", []string{"postgres_disk_full", "postgres_permission_denied", "postgres_read_only", "postgres_foreign_trigger", "postgres_locked", "redis_refused"}},
	{"Messages come and go, some people never see one, or it is gone after the chat is opened again", checkEach, []string{"split_database", "database_restored"}},
	{"Messages arrive seconds late", diagnoseInside, []string{"split_channel_layer", "replica_clock_skew", "redis_slow", "redis_connection_lost"}},
	{"The map is frozen, and chat works", "roomspa explain REF (the ref of the location socket)", []string{"replica_clock_skew", "channel_layer_unavailable", "out_of_range"}},
	{"The map is empty until the other side moves", "roomspa diagnose with --ops, or roomspa check --redis (if they warn of redis_evicting)", []string{"redis_evicting", "redis_cannot_save", "redis_permission_denied"}},
	{"The badge shows a wrong number", "roomspa user unread ID", nil},
	{"The ingress answers 503", diagnoseInside, []string{"no_ready_replica", "proxy_sees_no_replica", "busy"}},
	{"Somebody reports a ref", "roomspa explain REF", nil},
	{"A replica does not become ready", "roomspa check", []string{"schema_missing", "postgres_refused", "redis_refused"}},
}
