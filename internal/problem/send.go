package problem

import (
	"net/http"
	"time"
)

const (
	// WriteTimeout is the time within which a client must take a part of an answer.
	WriteTimeout = 10 * time.Second
	// maxWriteTime is the time within which it must take the whole answer.
	maxWriteTime = time.Minute
	// partBytes is the size of a part.
	partBytes = 16 << 10
)

// Send writes the body of an answer in parts. The connection ends if the client does not take one
// in time: a client that reads nothing must not hold the answer in memory.
func Send(w http.ResponseWriter, body []byte) error {
	control, end := http.NewResponseController(w), time.Now().Add(maxWriteTime)
	for {
		deadline := time.Now().Add(WriteTimeout)
		if deadline.After(end) {
			deadline = end
		}
		_ = control.SetWriteDeadline(deadline) // it fails only for writers of tests
		n := min(len(body), partBytes)
		if _, err := w.Write(body[:n]); err != nil {
			return err
		}
		if body = body[n:]; len(body) == 0 {
			return nil
		}
	}
}
