package cause

import "strings"

// lasting are the causes that last until an operator changes something. The others may pass.
var lasting = map[string]bool{
	"redis_permission_denied": true, "redis_subscribe_forbidden": true, "redis_wrong_password": true, "redis_read_only": true,
	"redis_is_cluster": true, "redis_not_cluster": true, "redis_is_sentinel": true, "redis_not_sentinel": true, "redis_no_such_master": true,
	"redis_tls": true, "redis_tls_wanted": true, "redis_no_tls": true, "redis_unknown_ca": true, "redis_client_certificate": true, "redis_not_redis": true,
	"redis_name_not_found": true, "redis_protected_mode": true, "redis_no_such_database": true, "redis_cannot_save": true, "redis_unknown_command": true, "redis_wrong_type": true,
	"postgres_permission_denied": true, "postgres_wrong_password": true, "postgres_no_such_database": true, "postgres_disk_full": true,
	"postgres_tls": true, "postgres_tls_required": true, "postgres_no_tls": true, "postgres_unknown_ca": true, "postgres_client_certificate": true,
	"postgres_host_rejected": true, "postgres_auth_method": true, "postgres_role_refused": true, "postgres_not_postgres": true, "postgres_bad_parameter": true,
	"postgres_database_closed": true, "postgres_encoding": true, "postgres_row_security": true, "postgres_corrupted": true, "postgres_wraparound": true,
	"postgres_pooler_login": true, "postgres_name_not_found": true, "postgres_transaction_pooler": true, "schema_damaged": true,
	"schema_missing": true, "schema_too_old": true, "schema_too_new": true, "too_many_open_files": true,
}

// Lasts reports whether a cause lasts until an operator changes something.
func Lasts(word string) bool { return lasting[word] }

// Describe returns a text for the client about an error of the server: the word of its cause,
// which the client's team can tell the operators, then text, or what the word means if text is
// empty. It is text alone if the error has no cause.
func Describe(err error, text string) string {
	word := Of(err)
	if word == "" {
		return text
	}
	if e, ok := Find(word); ok && text == "" {
		text = e.Means
	}
	if Lasts(word) {
		text = strings.TrimSuffix(text, ".") + ". This lasts until the operators change it."
	}
	return word + ": " + text
}
