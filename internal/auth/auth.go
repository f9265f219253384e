// Package auth answers "who are you": it takes tokens from requests, verifies
// and mints them, and verifies and hashes passwords. It knows no store; whether
// a user still exists, and may do what they ask for, is asked elsewhere.
package auth
