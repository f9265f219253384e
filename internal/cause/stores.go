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
	About: "Why the channel layer is unavailable: `cause` in `/readyz`, in `roomspa check --json`, in log lines and in stories. Open sockets stay open. Messages are stored, and delivered when Redis is back.",
	Rows: []Entry{
		{"redis_refused", "Redis refuses connections: nothing listens at its address.", layerCloses, layerLine + "… connection refused", layerMetric, "Start Redis, or correct host and port in the Redis URL."},
		{"redis_unreachable", "The host of Redis is unreachable.", layerCloses, layerLine + "… no route to host", layerMetric, "Check routes, firewalls and network policies between the replicas and Redis."},
		{"redis_name_not_found", "The host name of Redis cannot be resolved.", layerCloses, layerLine + "… no such host", layerMetric, "Correct the host in the Redis URL, or check the resolver."},
		{"redis_tls", "The TLS handshake with Redis failed.", layerCloses, layerLine + "… tls: …", layerMetric, "Compare the Redis URL with the server: rediss:// for TLS, with the name in its certificate."},
		{"redis_wrong_password", "Redis rejects the user or the password.", layerCloses, layerLine + "… WRONGPASS or NOAUTH", layerMetric, "Correct user and password in the Redis URL."},
		{"redis_subscribe_forbidden", "The Redis ACL denies the user SUBSCRIBE or PUBLISH.", layerCloses, layerLine + "subscribe: NOPERM …", layerMetric, "Grant the user the channels of --redis-prefix (&roomspa:*) and +subscribe +unsubscribe +publish."},
		{"redis_permission_denied", "The Redis ACL denies the user a command or a key.", layerCloses, "NOPERM …", layerMetric, "Grant the user the keys of --redis-prefix (~roomspa:*) and the commands listed in docs/operations.md."},
		{"redis_stalled", "Redis does not respond: it is paused or overloaded, or packets are dropped.", layerCloses, layerLine + "… no answer within 2s, or silent for 3s", layerMetric, "Check whether Redis is overloaded or paused (SLOWLOG, its host), and whether a firewall drops packets."},
		{"redis_max_clients", "Redis has reached its maximum number of clients.", layerCloses, layerLine + "… ERR max number of clients reached", layerMetric, "Raise maxclients (and the open file limit), or find the clients with CLIENT LIST."},
		{"redis_read_only", "This Redis is a read-only replica.", layerCloses, "READONLY …", layerMetric, "Set the Redis URL to the master, or use --redis-mode sentinel or cluster."},
		{"redis_out_of_memory", "Redis has reached maxmemory and rejects writes.", layerCloses + " Messages are still published; positions, tickets and stories fail.", "OOM …", `roomspa_redis_publishes_total{outcome="failed"}`, "Raise maxmemory, set an eviction policy (volatile-ttl fits: all keys of roomspa expire), or find what fills the memory."},
		{"redis_loading", "Redis is loading its data, or has no master.", layerCloses, layerLine + "… LOADING, MASTERDOWN or CLUSTERDOWN", layerMetric, "Wait until Redis has loaded its data and has a master. Its log shows the progress."},
		{"redis_is_cluster", "This Redis is a cluster node, but --redis-mode is not cluster.", layerCloses, "MOVED …", layerMetric, "Use --redis-mode cluster."},
		{"redis_connection_lost", "The connection to Redis was lost.", layerCloses, layerLine + "… EOF", layerMetric, "Check the log of Redis for the reason: a restart, its client limit, an ACL, required TLS, or protected mode (no password and a connection from another host)."},
		{"redis_other", "Redis returned an error.", layerCloses, layerLine + "<what it says>", layerMetric, "Check the log of Redis."},
	},
}

var inPostgres = Chapter{
	Title: "Postgres",
	About: "Why the database is unavailable: `cause` in `/readyz`, in `roomspa check --json`, in log lines and in stories. Open sockets stay open. Messages that are not committed are not acknowledged.",
	Rows: []Entry{
		{"postgres_refused", "Postgres refuses connections: nothing listens at its address.", dbCloses, dbLine + "connection refused", dbMetric + `{cause="refused"}`, "Start Postgres, or correct host and port in the database URL."},
		{"postgres_unreachable", "The host of Postgres is unreachable.", dbCloses, dbLine + "the server is unreachable", dbMetric + `{cause="unreachable"}`, "Check routes, firewalls and network policies between the replicas and the host."},
		{"postgres_name_not_found", "The host name of Postgres cannot be resolved.", dbCloses, dbLine + "the host name cannot be resolved", dbMetric + `{cause="name_not_found"}`, "Correct the host in the database URL, or check the resolver."},
		{"postgres_tls", "The TLS handshake with Postgres failed.", dbCloses, dbLine + "the TLS handshake failed", dbMetric + `{cause="tls"}`, "Compare sslmode and sslrootcert in the database URL with the server's configuration."},
		{"postgres_wrong_password", "Postgres rejects the user or the password.", dbCloses, dbLine + "the server rejects the user or the password", dbMetric + `{cause="wrong_password"}`, "Correct user and password in the database URL, or check pg_hba.conf."},
		{"postgres_no_such_database", "The database does not exist.", dbCloses, dbLine + "the database does not exist", dbMetric + `{cause="no_such_database"}`, "Create the database, or correct its name in the database URL."},
		{"postgres_permission_denied", "The database user lacks a permission.", dbCloses, dbLine + "permission denied", dbMetric + `{cause="permission_denied"}`, "Grant it: the user must own the schema roomspa or have access to all of its tables and sequences."},
		{"postgres_too_many_connections", "Postgres has no free connection.", dbCloses, dbLine + "the server has no free connection", dbMetric + `{cause="too_many_connections"}`, "Lower --database-max-connections or the number of replicas, raise max_connections or the role's limit, or use PgBouncer."},
		{"postgres_starting", "Postgres is starting up or recovering.", dbCloses, dbLine + "the server is starting up or recovering", dbMetric + `{cause="starting"}`, "Wait until the server has recovered. Its log shows the progress."},
		{"postgres_shutting_down", "Postgres is shutting down.", dbCloses, dbLine + "the server is shutting down", dbMetric + `{cause="shutting_down"}`, "Wait until the server is back, or check why it was stopped."},
		{"postgres_pool_timeout", "Timed out waiting for a connection from the pool.", dbCloses, dbLine + "timed out waiting for a connection", dbMetric + `{cause="pool_timeout"}`, "Check pg_stat_activity for slow statements and locks, or raise --database-max-connections."},
		{"postgres_transaction_pooler", "A connection pooler in transaction mode is in front of Postgres, and the options do not say so.", dbCloses, dbLine + "there is a connection pooler in transaction mode in front of the server", dbMetric + `{cause="transaction_pooler"}`, "Set --database-pooler pgbouncer, also for migrate and other commands, or connect to Postgres itself."},
		{"postgres_statement_timeout", "A statement timed out.", dbCloses, dbLine + "the statement timed out", dbMetric + `{cause="statement_timeout"}`, "Check pg_stat_activity for load and locks before you raise --database-statement-timeout."},
		{"postgres_locked", "Timed out waiting for a lock that another transaction holds.", dbCloses, dbLine + "timed out waiting for a lock that another transaction holds", dbMetric + `{cause="lock_timeout"}`, "Find the holder with pg_blocking_pids(pid) in pg_stat_activity: often a migration, VACUUM FULL or an open psql session."},
		{"postgres_stalled", "Postgres does not respond.", dbCloses, dbLine + "the server does not respond", dbMetric + `{cause="stalled"}`, "Check whether the server is overloaded or paused, and whether a firewall drops packets."},
		{"postgres_connection_lost", "The connection to Postgres was lost.", dbCloses, dbLine + "the connection was lost", dbMetric + `{cause="connection_lost"}`, "Check the server's log for the reason, and proxies for idle timeouts."},
		{"postgres_deadlock", "Postgres ended a transaction because of a deadlock.", dbCloses, dbLine + "the server ended the transaction because of a deadlock", dbMetric + `{cause="deadlock"}`, "Try again. If it recurs, the server's log names the other transaction."},
		{"postgres_read_only", "Postgres is read-only: a standby, or a primary with a full disk or default_transaction_read_only.", dbCloses, dbLine + "the server is read-only", dbMetric + `{cause="read_only"}`, "Set the database URL to the primary or to all hosts. On a primary, free disk space and unset default_transaction_read_only."},
		{"postgres_disk_full", "The disk of Postgres is full.", dbCloses, dbLine + "the server's disk is full", dbMetric + `{cause="disk_full"}`, "Free disk space: old WAL, an unused replication slot, logs."},
		{"postgres_out_of_memory", "Postgres is out of memory.", dbCloses, dbLine + "the server is out of memory", dbMetric + `{cause="out_of_memory"}`, "Give the server more memory or fewer connections."},
		{"postgres_queue_full", "Too many calls are waiting for Postgres.", dbCloses, dbLine + "too many calls are waiting for the database", dbMetric + `{cause="queue_full"}`, "Postgres is slower than the load. Check pg_stat_activity and its disk."},
		{"postgres_other", "Postgres returned an error.", dbCloses, dbLine + "the server reports an error", dbMetric + `{cause="other"}`, "The detail has its message and SQLSTATE."},
		{"schema_missing", "The database has no roomspa schema.", dbCloses, dbLine + "there is no roomspa schema", dbMetric + `{cause="schema_missing"}`, "Run: roomspa migrate up"},
		{"schema_too_old", "The schema is older than this version of roomspa requires.", dbCloses, "the schema is too old", dbMetric + `{cause="schema_too_old"}`, "Run: roomspa migrate up"},
		{"schema_too_new", "The schema is too new for this version of roomspa.", dbCloses, "the schema is too new", dbMetric + `{cause="schema_too_new"}`, "Run a version of roomspa that is at least as new as the schema."},
	},
}

var betweenReplicas = Chapter{
	Title: "Between replicas",
	About: "Faults of the configuration or of a proxy that show only in several replicas or over time.",
	Rows: []Entry{
		{"split_channel_layer", "Replicas share Postgres but do not receive each other's messages over Redis.", "Messages to sockets on another replica arrive late, when it polls Postgres.", "[Replicas] Channel layer split: replicas share Postgres, but their heartbeats do not arrive over Redis: <names>", "roomspa_replicas_unheard", "Give all replicas the same --redis-url and --redis-prefix. In the modes cluster and sentinel, check for a network partition."},
		{"different_secrets", "Replicas do not accept each other's tokens.", "4001 token_invalid (bad_signature) on some of the replicas.", "[Replicas] JWT secrets differ: replicas refuse each other's tokens: <names>", "roomspa_replicas_with_other_secrets", "Give all replicas the same --jwt-secret or --jwt-secret-file. During a rotation it means that a step was skipped, and passes when all replicas have the new secrets."},
		{"redis_shared", "Another deployment of roomspa uses the same Redis with the same prefix.", "Nothing: deployments can neither read nor disturb each other. They share the load and an outage.", "[Replicas] Redis shared: another deployment uses the same Redis with the same prefix: <ids>", "roomspa_other_deployments", "If it is meant to be so, give each deployment its own --redis-prefix. Else check --redis-url: a database number does not separate deployments, since Pub/Sub has none. roomspa check prints the id of a deployment."},
		{"replica_clock_skew", "The clock of a replica differs from that of Postgres by more than 5 s.", "Above 30 s, positions, probes, heartbeats and loads of that replica are dropped as too old, and its messages arrive some seconds late. Tokens and tickets may be refused as expired or not yet valid.", "[Replicas] Clock skew: the clocks of replicas differ from that of Postgres by more than 5s: <names>", "roomspa_replicas_with_clock_skew", "Synchronize the clocks of all nodes and of Postgres by NTP."},
		{"deployment_unread", "The replica has not read the identity of its deployment from Postgres yet, so it knows neither names nor keys.", layerCloses, "[Readiness] Check failed: channel_layer: the identity of the deployment has not been read from Postgres yet; [Replicas] Heartbeat failed: <why>", layerMetric, "Look for [Replicas] Heartbeat failed in the log. Restore Postgres, or grant the user of the database the tables roomspa.deployment, roomspa.master_keys and roomspa.replicas. The replica tries again every second."},
		{"database_restored", "The database went back in time under running replicas: a backup was restored into it, or a failover lost the last commits.", "Open sockets stay open and get resumed with reset: true. Messages that the database has lost are gone.", "[Database] Database went back in time: <why>", "", "If this was a planned restore: nothing, the replicas have reset their sockets. After a failover, check the replication lag, and use synchronous replication so that no acknowledged message is lost."},
		{"secret_file_unusable", "The secret file has changed and is not usable; the previous secrets stay in use.", "4001 token_invalid (bad_signature) with tokens of the new secret.", "[Secrets] Reload failed: <why>", "roomspa_secret_file_stale", "Fix the file of --jwt-secret-file: secrets of 32 bytes or more, separated by line breaks or commas, readable for the user that runs roomspa. It is read again every 2 s."},
		{"untrusted_proxy", "Users connect through a proxy that is not in --trusted-proxies, so all of them share its address.", "Sign-in answers 429 to everybody as soon as one client guesses passwords; limits per address count all clients together.", "[Proxies] Proxy not trusted: users connect through <address>, …", "", "Add the network of the proxy's pods or machines to --trusted-proxies (the chart's options.trusted-proxies), and nothing wider: docs/production.md has it for each ingress."},
		{"proxy_cuts_idle", "Abnormal closes cluster at one idle age: a proxy closes idle connections.", "1006 after a constant time without traffic.", "[Closes] A proxy closes idle connections after about <time>", "roomspa_proxy_idle_timeout_seconds", "Raise the proxy's idle timeout above --ping-interval (25 s), or lower --ping-interval below the timeout."},
	},
}
