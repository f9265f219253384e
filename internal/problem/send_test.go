package problem

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// A client takes a part of an answer after each pause.
type client struct {
	*httptest.ResponseRecorder

	pause    time.Duration
	deadline time.Time
}

func (c *client) SetWriteDeadline(at time.Time) error {
	c.deadline = at
	return nil
}

func (c *client) Write(b []byte) (int, error) {
	if time.Now().Add(c.pause).After(c.deadline) {
		return 0, errors.New("too late")
	}
	time.Sleep(c.pause) //nolint:forbidigo // the bubble's time
	return c.ResponseRecorder.Write(b)
}

func TestAnAnswerIsTakenInTime(t *testing.T) {
	t.Parallel()
	answer := bytes.Repeat([]byte("answer "), 20*partBytes/7)
	for name, test := range map[string]struct {
		pause time.Duration
		taken bool
	}{
		"at once": {0, true}, "slowly": {2 * time.Second, true}, "too slowly in all": {9 * time.Second, false}, "not at all": {time.Hour, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began, c := time.Now(), &client{ResponseRecorder: httptest.NewRecorder(), pause: test.pause}
				err := Send(c, answer)
				if (err == nil) != test.taken || test.taken != bytes.Equal(c.Body.Bytes(), answer) || time.Since(began) > maxWriteTime {
					t.Errorf("%v, %d of %d bytes after %v", err, c.Body.Len(), len(answer), time.Since(began))
				}
			})
		})
	}
}
