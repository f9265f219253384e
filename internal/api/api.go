// Package api serves the HTTP API: sign-in, tokens, tickets, conversations and their messages.
// No handler redirects.
package api

import (
	"net/http"

	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/story"
)

// Who returns the reference of a request and the address of its client as reported by trusted
// proxies.
type Who func(*http.Request) (ref, remote string)

// An exchange is a request and its response.
type exchange struct {
	base

	w        http.ResponseWriter
	r        *http.Request
	visit    *visit // nil if the request was not admitted
	log      *logging.Conn
	story    *story.Story // nil before its first step
	user     string       // description of the user in log lines; empty until it is known
	userID   room.UserID  // 0 until it is known
	signedIn bool         // the client has shown a valid token of the user
}

// A failure is an error response: the problem document for the client, and the cause for the
// log.
type failure struct {
	problem.Problem

	cause string // a stable word, sometimes followed by a detail
	err   error  // may be nil
	// body replaces the problem document; nil means that there is none. It is encoded as JSON.
	body any
	// challenge is appended to the realm in WWW-Authenticate.
	challenge string
}
