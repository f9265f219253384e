package cause_test

import (
	"testing"

	"github.com/roomspa/roomspa/internal/cause"
)

// TestWhatPostgresSays has an error of a server for each rule. The third column is the routine.
func TestWhatPostgresSays(t *testing.T) {
	t.Parallel()
	for _, c := range [][4]string{
		{"28000", `no pg_hba.conf entry for host "10.0.0.7", user "roomspa", database "roomspa", no encryption`, "ClientAuthentication", "postgres_host_rejected"},
		{"28000", `pg_hba.conf rejects connection for host "10.0.0.7", user "roomspa", database "roomspa", SSL encryption`, "ClientAuthentication", "postgres_host_rejected"},
		{"28000", `kein pg_hba.conf-Eintrag für Host »10.0.0.7«, Benutzer »roomspa«, Datenbank »roomspa«, keine Verschlüsselung`, "", "postgres_host_rejected"},
		{"28000", `connection requires a valid client certificate`, "ClientAuthentication", "postgres_client_certificate"},
		{"28000", `connection requires a valid client certificate`, "", "postgres_client_certificate"},
		{"28000", `certificate authentication failed for user "roomspa"`, "auth_failed", "postgres_client_certificate"},
		{"28000", `role "roomspa" is not permitted to log in`, "InitializeSessionUserId", "postgres_role_refused"},
		{"28000", `role "nobody" does not exist`, "InitializeSessionUserId", "postgres_role_refused"},
		{"28000", `Rolle »nobody« existiert nicht`, "InitializeSessionUserId", "postgres_role_refused"},
		{"28000", `Peer authentication failed for user "roomspa"`, "auth_failed", "postgres_auth_method"},
		{"28000", `Ident authentication failed for user "roomspa"`, "auth_failed", "postgres_auth_method"},
		{"28000", `LDAP authentication failed for user "roomspa"`, "auth_failed", "postgres_wrong_password"},
		{"28000", `authentication failed for user "roomspa": host rejected`, "auth_failed", "postgres_host_rejected"},
		{"28P01", `password authentication failed for user "roomspa"`, "auth_failed", "postgres_wrong_password"},
		{"3D000", `database "nowhere" does not exist`, "InitPostgres", "postgres_no_such_database"},
		{"57P04", `database "roomspa" was dropped`, "", "postgres_no_such_database"},
		{"55000", `database "roomspa" is not currently accepting connections`, "CheckMyDatabase", "postgres_database_closed"},
		{"42501", `new row violates row-level security policy for table "messages"`, "ExecWithCheckOptions", "postgres_row_security"},
		{"42501", `neue Zeile verletzt Policy für Sicherheit auf Zeilenebene für Tabelle »messages«`, "ExecWithCheckOptions", "postgres_row_security"},
		{"42P17", `infinite recursion detected in policy for relation "messages"`, "fireRIRrules", "postgres_row_security"},
		{"42501", `permission denied for table messages`, "aclcheck_error", "postgres_permission_denied"},
		{"42501", `permission denied for database "roomspa"`, "CheckMyDatabase", "postgres_permission_denied"},
		{"53300", `sorry, too many clients already`, "", "postgres_too_many_connections"},
		{"53300", `remaining connection slots are reserved for non-replication superuser connections`, "", "postgres_too_many_connections"},
		{"53300", `too many connections for role "roomspa"`, "", "postgres_too_many_connections"},
		{"53400", `temporary file size exceeds temp_file_limit (1024kB)`, "", "postgres_limit_exceeded"},
		{"53100", `could not extend file "base/16384/16500": No space left on device`, "mdextend", "postgres_disk_full"},
		{"58030", `could not write to file "pg_wal/xlogtemp.12": No space left on device`, "", "postgres_disk_full"},
		{"53000", `could not write: Disk quota exceeded`, "", "postgres_disk_full"},
		{"58030", `could not read block 7 in file "base/16384/16500": Input/output error`, "", "postgres_io_error"},
		{"58P01", `could not open file "pg_xact/0000": No such file or directory`, "", "postgres_io_error"},
		{"XX001", `invalid page in block 7 of relation base/16384/16500`, "", "postgres_corrupted"},
		{"XX002", `index "messages_pkey" contains unexpected zero page at block 7`, "", "postgres_corrupted"},
		{"53200", `out of memory`, "", "postgres_out_of_memory"},
		{"57P03", `the database system is starting up`, "", "postgres_starting"},
		{"57P03", `the database system is not accepting connections`, "", "postgres_starting"},
		{"57P03", `the database system is shutting down`, "", "postgres_shutting_down"},
		{"57P01", `terminating connection due to administrator command`, "", "postgres_shutting_down"},
		{"57P02", `terminating connection because of crash of another server process`, "", "postgres_shutting_down"},
		{"57P05", `terminating connection due to idle-session timeout`, "", "postgres_idle_session_timeout"},
		{"25P03", `terminating connection due to idle-in-transaction timeout`, "", "postgres_idle_session_timeout"},
		{"25P04", `terminating connection due to transaction timeout`, "", "postgres_statement_timeout"},
		{"57014", `canceling statement due to statement timeout`, "", "postgres_statement_timeout"},
		{"55P03", `canceling statement due to lock timeout`, "", "postgres_locked"},
		{"25006", `cannot execute INSERT in a read-only transaction`, "", "postgres_read_only"},
		{"40P01", `deadlock detected`, "", "postgres_deadlock"},
		{"40001", `could not serialize access`, "", "postgres_deadlock"},
		{"3F000", `schema "roomspa" does not exist`, "", "schema_missing"},
		{"42P01", `relation "roomspa.users" does not exist`, "", "schema_missing"},
		{"42703", `column "name" does not exist`, "", "schema_damaged"},
		{"42883", `function roomspa.origin() does not exist`, "", "schema_damaged"},
		{"26000", `prepared statement "stmtcache_1" does not exist`, "", "postgres_transaction_pooler"},
		{"42P05", `prepared statement "stmtcache_1" already exists`, "", "postgres_transaction_pooler"},
		{"42704", `unrecognized configuration parameter "sslmod"`, "", "postgres_bad_parameter"},
		{"22023", `invalid value for parameter "client_encoding": "x"`, "", "postgres_bad_parameter"},
		{"22021", `invalid byte sequence for encoding "UTF8": 0x00`, "", cause.Rejected},
		{"22021", `invalid byte sequence for encoding "UTF8": 0xe4 0x62`, "", cause.Rejected},
		{"22P05", `character with byte sequence 0xf0 0x9f 0x98 0x80 in encoding "UTF8" has no equivalent in encoding "LATIN1"`, "", "postgres_encoding"},
		{"54001", `stack depth limit exceeded`, "", "postgres_statement_too_complex"},
		{"54000", `database is not accepting commands to avoid wraparound data loss in database "roomspa"`, "", "postgres_wraparound"},
		{"54000", `index row size 8200 exceeds btree version 4 maximum 2704`, "", cause.Rejected},
		{"22003", `bigint out of range`, "", cause.Rejected},
		{"23514", `new row violates check constraint "messages_seq"`, "", cause.Rejected},
		{"08006", `connection failure`, "", "postgres_connection_lost"},
		{"08P01", `unsupported startup parameter: statement_timeout`, "", "postgres_transaction_pooler"}, // these are PgBouncer's
		{"08P01", `SSL required`, "", "postgres_tls_required"},
		{"08P01", `TLS required`, "", "postgres_tls_required"},
		{"08P01", `no such database: nowhere`, "", "postgres_no_such_database"},
		{"08P01", `no such user: nobody`, "", "postgres_wrong_password"},
		{"08P01", `SASL authentication failed`, "", "postgres_wrong_password"},
		{"08P01", `no more connections allowed (max_client_conn)`, "", "postgres_too_many_connections"},
		{"08P01", `server login has been failing, try again later (server_login_retry)`, "", "postgres_pooler_login"},
		{"08P01", `query_wait_timeout`, "", "postgres_pool_timeout"},
		{"XX000", `something new`, "", ""},
		{"P0001", `said by a trigger`, "", ""},
	} {
		expectKnown(t, cause.Postgres(c[0], c[1], c[2]), c[3], c[1])
	}
}

func TestWhatRedisSays(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"DENIED Redis is running in protected mode because protected mode is enabled and no password is set", "redis_protected_mode"},
		{"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.", "redis_cannot_save"},
		{"MISCONF Errors writing to the AOF file: No space left on device", "redis_cannot_save"},
		{"NOAUTH Authentication required.", "redis_wrong_password"},
		{"NOAUTH HELLO must be called with the client already authenticated", "redis_wrong_password"},
		{"WRONGPASS invalid username-password pair or user is disabled.", "redis_wrong_password"},
		{"ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?", "redis_wrong_password"},
		{"ERR Client sent AUTH, but no password is set", "redis_wrong_password"},
		{"ERR invalid password", "redis_wrong_password"},
		{"ERR operation not permitted", "redis_wrong_password"},
		{"redis: all sentinels specified in configuration are unreachable: WRONGPASS invalid username-password pair", "redis_wrong_password"},
		{"NOPERM this user has no permissions to run the 'subscribe' command", "redis_subscribe_forbidden"},
		{"NOPERM this user has no permissions to access one of the channels used as arguments", "redis_subscribe_forbidden"},
		{"NOPERM User roomspa has no permissions to run the 'publish' command", "redis_subscribe_forbidden"},
		{"NOPERM this user has no permissions to run the 'evalsha' command", "redis_permission_denied"},
		{"NOPERM this user has no permissions to access one of the keys used as arguments", "redis_permission_denied"},
		{"ERR The user executing the script can't run this command or subcommand script: 9a", "redis_permission_denied"},
		{"ERR acl failure in script: User x has no permissions to run the 'get' command", "redis_permission_denied"},
		{"ERR max number of clients reached", "redis_max_clients"},
		{"READONLY You can't write against a read only replica.", "redis_read_only"},
		{"OOM command not allowed when used memory > 'maxmemory'.", "redis_out_of_memory"},
		{"LOADING Redis is loading the dataset in memory", "redis_loading"},
		{"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "redis_master_down"},
		{"CLUSTERDOWN Hash slot not served", "redis_cluster_down"},
		{"TRYAGAIN Multiple keys request during rehashing of slot", "redis_cluster_down"},
		{"MOVED 3999 127.0.0.1:6381", "redis_is_cluster"},
		{"ASK 3999 127.0.0.1:6381", "redis_is_cluster"},
		{"CROSSSLOT Keys in request don't hash to the same slot", "redis_is_cluster"},
		{"ERR SELECT is not allowed in cluster mode", "redis_is_cluster"},
		{"ERR This instance has cluster support disabled", "redis_not_cluster"},
		{"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", "redis_busy_script"},
		{"UNKILLABLE Sorry the script already executed write commands", "redis_busy_script"},
		{"NOREPLICAS Not enough good replicas to write.", "redis_no_replicas"},
		{"ERR DB index is out of range", "redis_no_such_database"},
		{"ERR invalid DB index", "redis_no_such_database"},
		{"redis: all sentinels specified in configuration are unreachable: ERR unknown command 'sentinel', with args beginning with: 'get-master-addr-by-name' 'm' ", "redis_not_sentinel"},
		{"ERR unknown command `SENTINEL`, with args beginning with: `get-master-addr-by-name`, `m`, ", "redis_not_sentinel"},
		{"ERR No such master with that name", "redis_no_such_master"},
		{"redis: all sentinels specified in configuration are unreachable: redis: nil", "redis_no_such_master"},
		{"ERR unknown command 'GETDEL', with args beginning with: 'x' ", "redis_unknown_command"},
		{"ERR unknown command `HELLO`, with args beginning with: `2`, ", "redis_unknown_command"},
		{"NOPROTO unsupported protocol version", "redis_unknown_command"},
		{"ERR Unknown subcommand or wrong number of arguments for 'SETNAME'", "redis_unknown_command"},
		{"WRONGTYPE Operation against a key holding the wrong kind of value", "redis_wrong_type"},
		{"dial tcp 127.0.0.1:6379: socket: too many open files", "too_many_open_files"},
		{"ERR something new", ""},
		{"IOERR error or timeout", ""},
	} {
		expectKnown(t, cause.Redis(c[0]), c[1], c[0])
	}
}

// expectKnown fails unless a text has the wanted cause, and the cause is in the table.
func expectKnown(t *testing.T, got, want, text string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", text, got, want)
	}
	if _, ok := cause.Find(want); !ok && want != "" && want != cause.Rejected {
		t.Errorf("%s is not in the table", want)
	}
}
