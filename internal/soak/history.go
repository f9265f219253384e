package soak

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/client"
	"github.com/roomspa/roomspa/internal/judge"
)

// A history is the file in which one client writes what it did and saw. It judges
// nothing: what the client took for a repetition or a gap is written as received.
type history struct {
	mu   sync.Mutex
	file *os.File
	out  *bufio.Writer
	json *json.Encoder
	err  error
}

func newHistory(path string) (*history, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("write a history: %w", err)
	}
	h := &history{file: file, out: bufio.NewWriterSize(file, 32<<10)}
	h.json = json.NewEncoder(h.out)
	return h, nil
}

// add writes an entry. The first error stands, and close returns it.
func (h *history) add(e judge.Entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.At == 0 {
		e.At = time.Now().UnixMicro()
	}
	if err := h.json.Encode(e); h.err == nil {
		h.err = err
	}
}

func (h *history) flush() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.out.Flush(); h.err == nil {
		h.err = err
	}
}

func (h *history) close() error {
	h.flush()
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := errors.Join(h.err, h.file.Close()); err != nil {
		return fmt.Errorf("write a history: %w", err)
	}
	return nil
}

// entry turns what a session records into a line; ok is false where there is none
// for it.
func entry(r client.Record) (e judge.Entry, ok bool) {
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
			return e, false // a replay that ended too early: its own line tells
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
