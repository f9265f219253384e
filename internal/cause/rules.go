package cause

import "strings"

// A rule names the cause of an error that a store has reported.
type rule struct {
	code string // of Postgres: the SQLSTATE or its class; of Redis: how the text begins
	text string // a part of the text, in lower case
	word string // the cause; rejected if the value is at fault
}

// Rejected is what [Postgres] returns for a value that the server does not take. The value is at
// fault, and not the server.
const Rejected = "rejected"

// Postgres returns the cause of an error of Postgres or of a pooler in front of it, or "" if none
// is known. The message may be in any language; the SQLSTATE (PostgreSQL, appendix A) and the
// routine of the server that reports the error are not translated.
func Postgres(sqlstate, message, routine string) string {
	text := strings.ToLower(message + " " + routine)
	for _, r := range postgresRules {
		if strings.HasPrefix(sqlstate, r.code) && strings.Contains(text, r.text) {
			return r.word
		}
	}
	return ""
}

// Redis returns the cause of an error that Redis or a sentinel has answered, or "" if none is
// known.
func Redis(reply string) string {
	reply = strings.TrimPrefix(reply, "ERR ")
	text := strings.ToLower(reply)
	for _, r := range redisRules {
		if strings.HasPrefix(reply, r.code) && strings.Contains(text, r.text) {
			return r.word
		}
	}
	return ""
}

// postgresRules is in order: the first rule that fits counts.
var postgresRules = []rule{
	{"28000", "pg_hba.conf", "postgres_host_rejected"},
	{"28000", "client certificate", "postgres_client_certificate"},
	{"28000", "certificate authentication", "postgres_client_certificate"},
	{"28000", "clientauthentication", "postgres_host_rejected"},
	{"28000", "host rejected", "postgres_host_rejected"},
	{"28000", "not permitted to log in", "postgres_role_refused"},
	{"28000", "initializesessionuserid", "postgres_role_refused"},
	{"28000", "ldap authentication", "postgres_wrong_password"},
	{"28000", "pam authentication", "postgres_wrong_password"},
	{"28000", "radius authentication", "postgres_wrong_password"},
	{"28000", "auth_failed", "postgres_auth_method"}, // peer, ident, GSSAPI
	{"28000", "authentication failed", "postgres_auth_method"},
	{"28000", "does not exist", "postgres_role_refused"},
	{"28000", "", "postgres_host_rejected"},
	{"28P01", "", "postgres_wrong_password"},
	{"3D000", "", "postgres_no_such_database"},
	{"57P04", "", "postgres_no_such_database"}, // dropped while in use
	{"55000", "not currently accepting connections", "postgres_database_closed"},
	{"42501", "row-level security", "postgres_row_security"},
	{"42501", "execwithcheckoptions", "postgres_row_security"},
	{"42P17", "policy", "postgres_row_security"},
	{"42501", "", "postgres_permission_denied"},
	{"53300", "", "postgres_too_many_connections"},
	{"53400", "", "postgres_limit_exceeded"},
	{"53100", "", "postgres_disk_full"},
	{"58030", "no space left", "postgres_disk_full"},
	{"", "disk quota exceeded", "postgres_disk_full"},
	{"53200", "", "postgres_out_of_memory"},
	{"58", "", "postgres_io_error"},
	{"XX001", "", "postgres_corrupted"},
	{"XX002", "", "postgres_corrupted"},
	{"57P03", "shutting down", "postgres_shutting_down"},
	{"57P03", "", "postgres_starting"},
	{"57P01", "", "postgres_shutting_down"},
	{"57P02", "", "postgres_shutting_down"},
	{"57P05", "", "postgres_idle_session_timeout"},
	{"25P03", "", "postgres_idle_session_timeout"},
	{"57014", "", "postgres_statement_timeout"},
	{"25P04", "", "postgres_statement_timeout"},
	{"55P03", "", "postgres_locked"},
	{"25006", "", "postgres_read_only"},
	{"40P01", "", "postgres_deadlock"},
	{"40001", "", "postgres_deadlock"},
	{"3F000", "", "schema_missing"},
	{"42P01", "", "schema_missing"},
	{"42703", "", "schema_damaged"},
	{"42883", "", "schema_damaged"},
	{"42P05", "", "postgres_transaction_pooler"},
	{"26000", "", "postgres_transaction_pooler"},
	{"42704", "configuration parameter", "postgres_bad_parameter"},
	{"22023", "invalid value for parameter", "postgres_bad_parameter"},
	{"22P05", "", "postgres_encoding"},
	{"54001", "", "postgres_statement_too_complex"},
	{"54000", "wraparound", "postgres_wraparound"},
	{"08P01", "startup parameter", "postgres_transaction_pooler"},
	{"08P01", "ssl required", "postgres_tls_required"},
	{"08P01", "tls required", "postgres_tls_required"},
	{"08P01", "no such database", "postgres_no_such_database"},
	{"08P01", "no such user", "postgres_wrong_password"},
	{"08P01", "authentication failed", "postgres_wrong_password"},
	{"08P01", "no more connections allowed", "postgres_too_many_connections"},
	{"08P01", "login", "postgres_pooler_login"},
	{"08P01", "", "postgres_pool_timeout"}, // the pool of PgBouncer has no free connection
	{"08", "", "postgres_connection_lost"},
	{"22", "", Rejected},
	{"23", "", Rejected},
	{"54", "", Rejected},
}

// redisRules is in order: the first rule that fits counts. A rule without code looks anywhere in
// the text, since the answers of sentinels and of scripts are quoted in other errors.
var redisRules = []rule{
	{"DENIED", "", "redis_protected_mode"},
	{"", "running in protected mode", "redis_protected_mode"},
	{"MISCONF", "", "redis_cannot_save"},
	{"", "called without any password", "redis_wrong_password"},
	{"", "no password is set", "redis_wrong_password"},
	{"NOAUTH", "", "redis_wrong_password"},
	{"WRONGPASS", "", "redis_wrong_password"},
	{"AUTH ", "", "redis_wrong_password"},
	{"invalid password", "", "redis_wrong_password"},
	{"operation not permitted", "", "redis_wrong_password"},
	{"", "wrongpass", "redis_wrong_password"},
	{"", "noauth", "redis_wrong_password"},
	{"NOPERM", "channel", "redis_subscribe_forbidden"},
	{"NOPERM", "subscribe", "redis_subscribe_forbidden"},
	{"NOPERM", "publish", "redis_subscribe_forbidden"},
	{"NOPERM", "", "redis_permission_denied"},
	{"", "can't run this command or subcommand", "redis_permission_denied"},
	{"", "acl failure in script", "redis_permission_denied"},
	{"", "noperm", "redis_permission_denied"},
	{"", "max number of clients", "redis_max_clients"},
	{"READONLY", "", "redis_read_only"},
	{"OOM", "", "redis_out_of_memory"},
	{"LOADING", "", "redis_loading"},
	{"MASTERDOWN", "", "redis_master_down"},
	{"CLUSTERDOWN", "", "redis_cluster_down"},
	{"TRYAGAIN", "", "redis_cluster_down"},
	{"MOVED", "", "redis_is_cluster"},
	{"ASK ", "", "redis_is_cluster"},
	{"CROSSSLOT", "", "redis_is_cluster"},
	{"", "select is not allowed in cluster mode", "redis_is_cluster"},
	{"", "cluster support disabled", "redis_not_cluster"},
	{"BUSY ", "", "redis_busy_script"},
	{"UNKILLABLE", "", "redis_busy_script"},
	{"NOREPLICAS", "", "redis_no_replicas"},
	{"", "db index is out of range", "redis_no_such_database"},
	{"", "invalid db index", "redis_no_such_database"},
	{"", "unknown command 'sentinel'", "redis_not_sentinel"},
	{"", "unknown command `sentinel`", "redis_not_sentinel"},
	{"", "no such master", "redis_no_such_master"},
	{"", "unreachable: redis: nil", "redis_no_such_master"}, // what go-redis makes of it
	{"", "unknown command", "redis_unknown_command"},
	{"NOPROTO", "", "redis_unknown_command"},
	{"", "unknown subcommand", "redis_unknown_command"},
	{"WRONGTYPE", "", "redis_wrong_type"},
	{"", "too many open files", "too_many_open_files"},
}
