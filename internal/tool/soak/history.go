package soak

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/tool/client"
	"github.com/roomspa/roomspa/internal/tool/judge"
)

// A History is the file of what one client did and received. It records a message as
// received even if the client considered it a duplicate or a gap.
type History struct {
	mu   sync.Mutex
	file *os.File
	out  *bufio.Writer
	json *json.Encoder
	err  error
}

// NewHistory creates a history.
func NewHistory(path string) (*History, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("write a history: %w", err)
	}
	h := &History{file: file, out: bufio.NewWriterSize(file, 32<<10)}
	h.json = json.NewEncoder(h.out)
	return h, nil
}

// Record writes a record of a session, if the judge needs it.
func (h *History) Record(r client.Record) {
	if e, ok := toEntry(r); ok {
		h.Add(e)
	}
}

// Add writes an entry. The default for its time is now. Close returns the first error.
func (h *History) Add(e judge.Entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.At == 0 {
		e.At = time.Now().UnixMicro()
	}
	if err := h.json.Encode(e); h.err == nil {
		h.err = err
	}
}

func (h *History) flush() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.out.Flush(); h.err == nil {
		h.err = err
	}
}

// Close writes the buffered entries, and returns the first error of all calls.
func (h *History) Close() error {
	h.flush()
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := errors.Join(h.err, h.file.Close()); err != nil {
		return fmt.Errorf("write a history: %w", err)
	}
	return nil
}

// toEntry converts a record. ok is false if the judge does not need it.
func toEntry(r client.Record) (e judge.Entry, ok bool) {
	e = judge.Entry{
		At: r.At.UnixMicro(), Ref: r.Ref, Seq: r.Seq, ID: r.ID, ClientMessageID: r.ClientMessageID, Duplicate: r.Duplicate, Code: r.Code,
		Detail: r.Detail,
	}
	switch r.Kind {
	case client.RecordConnected:
		e.Kind, e.Since = judge.Connected, r.Since
	case client.RecordResumed:
		e.Kind, e.From, e.Reset = judge.Resumed, r.Expected, r.Frame.Reset
	case client.RecordSent:
		e.Kind, e.Text = judge.Sent, judge.Hash(r.Text)
	case client.RecordAcknowledged:
		e.Kind = judge.Acknowledged
	case client.RecordReceived, client.RecordDuplicate, client.RecordGap:
		if r.Frame == nil {
			return e, false // the gap is at the end of a replay, which has an entry of its own
		}
		e.Kind, e.Sender, e.Text = judge.Received, r.Frame.SenderID, judge.Hash(r.Frame.Message)
	case client.RecordDropped:
		e.Kind = judge.Refused
	case client.RecordDeferred:
		e.Kind = judge.Deferred
	case client.RecordClosed:
		e.Kind = judge.Closed
	default:
		return e, false
	}
	return e, true
}
