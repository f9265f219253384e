package room

import "errors"

// Cause returns the stable word for why a store or the channel layer failed, such as
// redis_refused or postgres_locked, or "" for an error of another making. It is what
// the error says of itself.
func Cause(err error) string {
	if c, ok := errors.AsType[interface {
		error
		Cause() string
	}](err); ok {
		return c.Cause()
	}
	return ""
}
