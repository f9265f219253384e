// Package client is the Go client of the protocol. A [Conn] is one socket and
// hides nothing; a [Session] is the client of one endpoint that loses nothing,
// whatever happens to its sockets: it reconnects as the close codes say, resumes
// from the highest seq it has seen, and sends again what was not acknowledged.
//
// `roomspa connect`, `diagnose`, `bench` and every end-to-end test use this
// client and no other. It knows nothing of the server's inside.
package client
