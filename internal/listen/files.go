package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/roomspa/roomspa/internal/openfiles"
)

const (
	// reserveSize is the number of descriptors that the ops listener holds back. The probes and
	// an operator need them when sockets have taken all others.
	reserveSize = 4
	// remembered is the time for which a lack of descriptors is a finding.
	remembered = 10 * time.Minute
	// tooManyOpenFiles is a word of package cause.
	tooManyOpenFiles = "too_many_open_files"
)

// A reserve holds descriptors, which connections may take the place of. It is safe for concurrent
// use. A nil reserve is empty.
type reserve struct {
	mu     sync.Mutex
	held   []*os.File
	closed bool
}

// newReserve returns a full reserve.
func newReserve() *reserve {
	r := &reserve{}
	r.fill()
	return r
}

// fill opens what is missing, and returns false if there are too few descriptors.
func (r *reserve) fill() bool {
	if r == nil {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.closed && len(r.held) < reserveSize {
		f, err := os.Open(os.DevNull)
		if err != nil {
			return false
		}
		r.held = append(r.held, f)
	}
	return true
}

// takesDescriptor reports whether the reserve needs the descriptor of a new connection, which it then
// closes. The descriptor of a connection that was closed can become free much later, and must not
// be lost to the next client.
func (r *reserve) takesDescriptor(t *net.TCPConn) bool {
	if r.fill() {
		return false
	}
	_ = t.Close()
	r.fill()
	return true
}

// close frees all descriptors.
func (r *reserve) close() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, f := range r.held {
		_ = f.Close()
	}
	r.held = nil
}

// release frees one descriptor. It returns false if there is none.
func (r *reserve) release() bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.held) == 0 {
		return false
	}
	_ = r.held[len(r.held)-1].Close()
	r.held = r.held[:len(r.held)-1]
	return true
}

// acceptReserved accepts a connection in the place of a descriptor of the reserve. A client whose
// connection has such a place is answered, and must then connect again.
func (l *listener) acceptReserved(err error) (*net.TCPConn, bool, error) {
	if !lacksFiles(err) || !l.reserve.release() {
		return nil, false, err
	}
	t, err := l.AcceptTCP()
	return t, true, err //nolint:wrapcheck // net/http looks at it
}

func lacksFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// A filesError says that the open-file limit is too low.
type filesError struct{ text string }

func (e *filesError) Error() string { return e.text }

// Cause returns the word of package cause.
func (*filesError) Cause() string { return tooManyOpenFiles }

// Findings returns what is wrong with the open-file limit of the process.
func (l *Limits) Findings() []error {
	files := openfiles.Limit()
	if last := l.lacked.Load(); last != 0 && time.Since(time.Unix(0, last)) < remembered {
		return []error{&filesError{fmt.Sprintf("the limit of %d open files was used up %v ago, so connections were not accepted",
			files, time.Since(time.Unix(0, last)).Round(time.Second))}}
	}
	if l.wanted > l.Places() && files > 0 {
		return []error{&filesError{fmt.Sprintf("the limit of %d open files has room for %d connections, fewer than the --soft-limit of %d sockets",
			files, l.Places(), l.wanted)}}
	}
	return nil
}
