package sandbox

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// tailBytes is enough for the last dozen lines a server writes before it gives up.
const tailBytes = 4 << 10

// tail passes a server's log on and keeps the end of it for errors.
type tail struct {
	next io.Writer // may be nil

	mu   sync.Mutex
	last []byte
}

// Write never fails: a full disk under the log must not fill the server's pipe.
func (t *tail) Write(b []byte) (int, error) {
	if t.next != nil {
		_, _ = t.next.Write(b)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, b...)
	if extra := len(t.last) - tailBytes; extra > 0 {
		t.last = append(t.last[:0], t.last[extra:]...)
	}
	return len(b), nil
}

func (t *tail) portTaken() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Contains(t.last, []byte("Address already in use")) || bytes.Contains(t.last, []byte("Failed listening on port"))
}

// lastWords returns, in one line, why the server gave up: Postgres' FATAL line, otherwise the last three lines.
func (t *tail) lastWords() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var lines []string
	for line := range strings.Lines(string(t.last)) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	for _, line := range lines {
		if strings.Contains(line, "FATAL:") || strings.Contains(line, "PANIC:") {
			return line
		}
	}
	if len(lines) == 0 {
		return "(it wrote nothing)"
	}
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}
