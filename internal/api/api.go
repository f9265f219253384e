// Package api serves clients over plain HTTP: sign-in, tickets and the history of messages.
// No handler redirects.
package api

import (
	"net/http"

	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/problem"
)

// Who tells the reference of a request, and the address of its client as the
// trusted proxies report it.
type Who func(*http.Request) (ref, remote string)

// An exchange is one request on its way to an answer.
type exchange struct {
	w         http.ResponseWriter
	r         *http.Request
	log       *logging.Conn
	component string // as in the log: Login
	user      string // what the log calls the user, once it is known
}

// A refusal is an answer that is not 200: what the client is told, and what the
// log is told beyond that. The cause is a word; err is nil or says more.
type refusal struct {
	problem.Problem

	cause string
	err   error
	// challenge stands in WWW-Authenticate behind the realm; "" adds nothing.
	challenge string
}

func (e *exchange) write(p problem.Problem) {
	p.Ref = e.log.Ref
	p.Write(e.w)
}
