package sandbox

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// tailBytes is enough for about a dozen lines.
const tailBytes = 4 << 10

// A tail passes the output of a process on and keeps the end of it for errors.
type tail struct {
	next io.Writer // may be nil

	mu   sync.Mutex
	last []byte
}

// Write never fails: if it did, for example because the disk is full, the process would block on its output.
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

// lastLines returns the first FATAL or PANIC line of Postgres, or else the last three lines, joined to one.
func (t *tail) lastLines() string {
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
		return "no output"
	}
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}
