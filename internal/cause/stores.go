package cause

const (
	layerCloses = "1011 channel_layer_unavailable; open sockets stay open."
	layerLine   = "[ChannelLayer] Connection lost: "
	layerMetric = "roomspa_redis_up 0"
	dbCloses    = "1011 database_unavailable, or an error frame; open sockets stay open."
	dbLine      = "database unavailable: "
	dbMetric    = "roomspa_database_errors_total"
)

var inRedis = Chapter{
	Title: "Redis",
	About: "Why the channel layer fails: `cause` in `/readyz`, in `roomspa check --json`, in log lines and in stories. Open sockets stay open, what is sent is stored, and it is delivered when Redis is back.",
	Rows: []Entry{
		{"redis_refused", "Nothing accepts connections at the address of Redis.", layerCloses, layerLine + "… connection refused", layerMetric, "Start Redis, or correct host and port in the Redis URL."},
		{"redis_unreachable", "The host of Redis cannot be reached.", layerCloses, layerLine + "… no route to host", layerMetric, "Look at routes, firewalls and network policies between the replicas and Redis."},
		{"redis_name_not_found", "The name of the host of Redis cannot be resolved.", layerCloses, layerLine + "… no such host", layerMetric, "Correct the host's name in the Redis URL, or look at the resolver."},
		{"redis_tls", "TLS could not be agreed on with Redis.", layerCloses, layerLine + "… tls: …", layerMetric, "Compare the Redis URL with what the server offers: rediss:// for TLS, by the name in its certificate."},
		{"redis_wrong_password", "Redis does not accept the user or the password.", layerCloses, layerLine + "… WRONGPASS or NOAUTH", layerMetric, "Correct user and password in the Redis URL."},
		{"redis_subscribe_forbidden", "The ACL of Redis does not let the user subscribe or publish.", layerCloses, layerLine + "subscribe: NOPERM …", layerMetric, "Let the user's ACL use the channels of --redis-prefix (&roomspa:*) and +subscribe +unsubscribe +publish."},
		{"redis_permission_denied", "The ACL of Redis does not let the user run a command or use a key.", layerCloses, "NOPERM …", layerMetric, "Let the user's ACL use the keys of --redis-prefix (~roomspa:*) and the commands of docs/operations.md."},
		{"redis_stalled", "Redis does not answer: it is paused or overloaded, or packets are swallowed.", layerCloses, layerLine + "… no answer within 2s, or silent for 3s", layerMetric, "Look whether Redis is overloaded or paused (SLOWLOG, its host), and whether something on the way swallows packets."},
		{"redis_max_clients", "Redis has as many clients as it takes.", layerCloses, layerLine + "… ERR max number of clients reached", layerMetric, "Raise maxclients (and its open files), or find who holds the connections with CLIENT LIST."},
		{"redis_read_only", "This Redis is a replica and takes no writes.", layerCloses, "READONLY …", layerMetric, "Point the Redis URL at the master, or use --redis-mode sentinel or cluster."},
		{"redis_out_of_memory", "Redis has used its maxmemory and takes no writes.", layerCloses + " Publishing goes on; positions, tickets and stories fail.", "OOM …", `roomspa_redis_publishes_total{outcome="failed"}`, "Raise maxmemory or choose an eviction policy (volatile-ttl fits: all that roomspa stores has an end), or find who fills it."},
		{"redis_loading", "Redis loads its data, or has no master just now.", layerCloses, layerLine + "… LOADING, MASTERDOWN or CLUSTERDOWN", layerMetric, "Wait until Redis has loaded its data and has a master; its log says how far it is."},
		{"redis_is_cluster", "This Redis is a cluster, and was not used as one.", layerCloses, "MOVED …", layerMetric, "Use --redis-mode cluster."},
		{"redis_connection_lost", "The connection to Redis ended.", layerCloses, layerLine + "… EOF", layerMetric, "Look at the log of Redis for why it ended the connection: a restart, its client limit, an ACL, TLS that is expected, protected mode (no password, and asked from another machine)."},
		{"redis_other", "Redis reports an error.", layerCloses, layerLine + "<what it says>", layerMetric, "Look at the log of Redis."},
	},
}

var inPostgres = Chapter{
	Title: "Postgres",
	About: "Why the database fails: `cause` in `/readyz`, in `roomspa check --json`, in log lines and in stories. Open sockets stay open; nothing is acknowledged that is not committed.",
	Rows: []Entry{
		{"postgres_refused", "Nothing accepts connections at the address of Postgres.", dbCloses, dbLine + "connection refused", dbMetric + `{cause="refused"}`, "Start Postgres, or correct host and port in the database URL."},
		{"postgres_unreachable", "The host of Postgres cannot be reached.", dbCloses, dbLine + "the server is unreachable", dbMetric + `{cause="unreachable"}`, "Look at routes, firewalls and network policies between the replicas and the host."},
		{"postgres_name_not_found", "The name of the host of Postgres cannot be resolved.", dbCloses, dbLine + "the host name cannot be resolved", dbMetric + `{cause="name_not_found"}`, "Correct the host's name in the database URL, or look at the resolver."},
		{"postgres_tls", "TLS could not be agreed on with Postgres.", dbCloses, dbLine + "the TLS handshake failed", dbMetric + `{cause="tls"}`, "Compare sslmode and sslrootcert in the database URL with what the server offers."},
		{"postgres_wrong_password", "Postgres does not accept the user or the password.", dbCloses, dbLine + "the server rejects the user or the password", dbMetric + `{cause="wrong_password"}`, "Correct user and password in the database URL, or look at pg_hba.conf."},
		{"postgres_no_such_database", "There is no database of that name.", dbCloses, dbLine + "the database does not exist", dbMetric + `{cause="no_such_database"}`, "Create the database, or correct its name in the database URL."},
		{"postgres_permission_denied", "The user lacks a permission.", dbCloses, dbLine + "permission denied", dbMetric + `{cause="permission_denied"}`, "Grant the user what is missing: it owns the schema roomspa, or may use all of its tables."},
		{"postgres_too_many_connections", "Postgres has no connection left for us.", dbCloses, dbLine + "the server has no free connection", dbMetric + `{cause="too_many_connections"}`, "Lower --database-max-connections or the number of replicas, raise max_connections or the role's limit, or put PgBouncer in front."},
		{"postgres_starting", "Postgres is starting up or recovering.", dbCloses, dbLine + "the server is starting up or recovering", dbMetric + `{cause="starting"}`, "Wait until the server has recovered; its log says how far it is."},
		{"postgres_shutting_down", "Postgres is shutting down.", dbCloses, dbLine + "the server is shutting down", dbMetric + `{cause="shutting_down"}`, "Wait for the server's return, or look why it was stopped."},
		{"postgres_pool_timeout", "No connection became free or was made in time.", dbCloses, dbLine + "timed out waiting for a connection", dbMetric + `{cause="pool_timeout"}`, "Look for slow statements and locks in pg_stat_activity, or raise --database-max-connections."},
		{"postgres_statement_timeout", "A statement took too long.", dbCloses, dbLine + "the statement timed out", dbMetric + `{cause="statement_timeout"}`, "Look for load and locks in pg_stat_activity; raise --database-statement-timeout only after that."},
		{"postgres_locked", "Another transaction holds a lock that a statement needs.", dbCloses, dbLine + "timed out waiting for a lock that another transaction holds", dbMetric + `{cause="lock_timeout"}`, "Look for who holds the lock: pg_blocking_pids(pid) in pg_stat_activity; a migration, VACUUM FULL or a forgotten psql."},
		{"postgres_stalled", "Postgres does not answer.", dbCloses, dbLine + "the server does not respond", dbMetric + `{cause="stalled"}`, "Look whether the server is overloaded or paused, and whether something on the way swallows packets."},
		{"postgres_connection_lost", "The connection to Postgres ended.", dbCloses, dbLine + "the connection was lost", dbMetric + `{cause="connection_lost"}`, "Look at the server's log for why it ended the connection, and at proxies for idle time-outs."},
		{"postgres_deadlock", "A transaction was in another's way and was ended.", dbCloses, dbLine + "the server ended the transaction because of a deadlock", dbMetric + `{cause="deadlock"}`, "Try again; if it comes back, the server's log names the other transaction."},
		{"postgres_read_only", "Postgres accepts no writes: a standby, or a full or protected primary.", dbCloses, dbLine + "the server is read-only", dbMetric + `{cause="read_only"}`, "Point the database URL at the primary, or list all hosts; or free disk space and lift default_transaction_read_only."},
		{"postgres_disk_full", "The disk of Postgres is full.", dbCloses, dbLine + "the server's disk is full", dbMetric + `{cause="disk_full"}`, "Make room on the server's disk: old WAL, an abandoned replication slot, logs."},
		{"postgres_out_of_memory", "Postgres is out of memory.", dbCloses, dbLine + "the server is out of memory", dbMetric + `{cause="out_of_memory"}`, "Give the server more memory, or fewer connections."},
		{"postgres_queue_full", "Too many calls wait for Postgres already.", dbCloses, dbLine + "too many calls are waiting for the database", dbMetric + `{cause="queue_full"}`, "Postgres is slower than the load: look at pg_stat_activity and at its disk."},
		{"postgres_other", "Postgres reports an error.", dbCloses, dbLine + "the server reports an error", dbMetric + `{cause="other"}`, "The detail has what it says, with the SQLSTATE."},
		{"schema_missing", "There is no roomspa schema in the database.", dbCloses, dbLine + "there is no roomspa schema", dbMetric + `{cause="schema_missing"}`, "Run: roomspa migrate up"},
		{"schema_too_old", "The schema is older than this roomspa needs.", dbCloses, "the schema is too old", dbMetric + `{cause="schema_too_old"}`, "Run: roomspa migrate up"},
		{"schema_too_new", "The schema no longer serves a roomspa as old as this one.", dbCloses, "the schema is too new", dbMetric + `{cause="schema_too_new"}`, "Use a roomspa that is as new as the schema, or newer."},
	},
}

var betweenReplicas = Chapter{
	Title: "Between replicas",
	About: "What no single replica can see in itself.",
	Rows: []Entry{
		{"split_channel_layer", "Replicas share Postgres and do not hear each other over Redis.", "Messages to sockets of another replica arrive late, when it looks in Postgres.", "[Replicas] Channel layer split: replicas share Postgres but are not heard over Redis: <names>", "roomspa_replicas_unheard", "Give all replicas the same --redis-url (one Redis, one database number) and the same --redis-prefix; in mode cluster or sentinel look for a partition."},
		{"different_secrets", "Replicas accept tokens of different secrets.", "4001 token_invalid (bad_signature) on some replicas, by chance.", "[Replicas] JWT secrets differ: replicas refuse each other's tokens: <names>", "roomspa_replicas_with_other_secrets", "Give all replicas the same --jwt-secret or --jwt-secret-file. A rotation whose steps were taken in order never comes to this; one that left a step out passes when the last replica has the new ones."},
		{"secret_file_unusable", "The file of the token secrets has changed, and cannot be used.", "4001 token_invalid (bad_signature) with tokens of the new secret.", "[Secrets] Not renewed: <why>", "roomspa_secret_file_stale", "Correct the file of --jwt-secret-file: 32 bytes or more each, one a line or comma-separated, readable for the user that roomspa runs as. It is looked at again by itself."},
		{"proxy_cuts_idle", "Abnormal ends cluster at one idle age: a proxy closes connections that are silent.", "1006 after a steady time without traffic.", "[Closes] A proxy closes idle connections after about <time>", "roomspa_proxy_idle_timeout_seconds", "Raise the proxy's idle time-out above --ping-interval (25 s), or lower --ping-interval below it."},
	},
}
