// Package auth authenticates users. It reads tokens from requests, verifies and mints them,
// and verifies and hashes passwords. It uses no store: whether a user exists and what they
// may do is decided elsewhere.
package auth
