package cause

import "strings"

// lasting are the causes that last until an operator changes something. The others may pass.
var lasting = map[string]bool{
	"redis_permission_denied": true, "redis_subscribe_forbidden": true, "redis_wrong_password": true, "redis_read_only": true,
	"redis_is_cluster": true, "redis_is_not_cluster": true, "redis_is_sentinel": true, "redis_tls": true, "redis_name_not_found": true,
	"postgres_permission_denied": true, "postgres_wrong_password": true, "postgres_no_such_database": true, "postgres_disk_full": true,
	"postgres_tls": true, "postgres_name_not_found": true, "postgres_transaction_pooler": true,
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
