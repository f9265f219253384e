package world

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// Journal keeps what is written to it, a log for instance. Its methods may be called by several goroutines.
type Journal struct {
	tee io.Writer // gets it too; nil: nothing does

	mu  sync.Mutex
	buf bytes.Buffer
}

// Write appends p.
func (j *Journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.tee != nil {
		_, _ = j.tee.Write(p)
	}
	return j.buf.Write(p)
}

// String returns everything that was written.
func (j *Journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// About returns the lines that contain a reference.
func (j *Journal) About(ref string) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var lines strings.Builder
	for rest := j.buf.Bytes(); ; {
		at := bytes.Index(rest, []byte(ref))
		if at < 0 {
			return lines.String()
		}
		begin, end := bytes.LastIndexByte(rest[:at], '\n')+1, len(rest)
		if n := bytes.IndexByte(rest[at:], '\n'); n >= 0 {
			end = at + n + 1
		}
		lines.Write(rest[begin:end])
		rest = rest[end:]
	}
}
