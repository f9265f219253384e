package soak

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// A node is the session of a JavaScript client in a process of its own.
type node struct {
	device  *device
	program *jsProgram
	token   string
	bridge  *bridge
	quit    chan struct{}
	once    sync.Once
	done    chan struct{}

	writing sync.Mutex // held while a command is written, which may take until the process reads
	mu      sync.Mutex
	in      io.Writer       // of the process; nil before it runs
	ref     string          // of the last socket
	pending map[string]bool // messages that are not acknowledged, by id
	highest *int64
}

func newNode(d *device, token string) *node {
	return &node{device: d, token: token, quit: make(chan struct{}), done: make(chan struct{}), pending: map[string]bool{}}
}

// Run runs the process until Close. An error means that it has ended by itself.
func (n *node) Run(ctx context.Context) (err error) {
	defer close(n.done)
	if n.bridge, err = newBridge(ctx, n.device.network.dial); err != nil {
		return err
	}
	defer n.bridge.close()
	log, err := os.Create(filepath.Join(n.program.logs, n.device.name+".log"))
	if err != nil {
		return fmt.Errorf("write the log of a JavaScript client: %w", err)
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	options, err := json.Marshal(map[string]any{
		"url": "http://" + n.bridge.addr(), "token": n.token, "customer": n.device.room.room.Customer, "therapist": n.device.room.room.Therapist,
	})
	if err != nil {
		return fmt.Errorf("start a JavaScript client: %w", err)
	}
	cmd := exec.CommandContext(ctx, n.program.node, n.program.script, string(options))
	cmd.Stderr = log
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe() // fails only after the start, or if it is set already
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start a JavaScript client: %w", err)
	}
	n.mu.Lock()
	n.in = in
	n.mu.Unlock()
	go func() {
		select {
		case <-n.quit:
			n.write(map[string]any{"do": "close"})
			pause(ctx, 2*clientTimeout)
			cancel()
		case <-ctx.Done():
		}
	}()
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		n.handle(line)
	}
	err = cmd.Wait()
	select {
	case <-n.quit:
		return nil
	default:
		return fmt.Errorf("the JavaScript client of %s has ended (see %s): %w", n.device.name, log.Name(), errors.Join(err, ctx.Err()))
	}
}

// A nodeEvent is a line of the process.
type nodeEvent struct {
	Event  string          `json:"event"`
	At     int64           `json:"at"` // Unix microseconds
	Ref    string          `json:"ref"`
	Since  *int64          `json:"since"`
	ID     string          `json:"id"`
	Code   int             `json:"code"`
	Detail string          `json:"detail"`
	Frame  json.RawMessage `json:"frame"`
}

// handle tells the device what the app was told.
func (n *node) handle(line []byte) {
	var e nodeEvent
	var f client.Frame
	if err := json.Unmarshal(line, &e); err != nil {
		n.device.handle(client.Event{Kind: client.GaveUp, Err: fmt.Errorf("the JavaScript client wrote %q: %w", line, err)})
		return
	}
	_ = json.Unmarshal(e.Frame, &f) // a field of another type hides no others
	r := client.Record{At: time.UnixMicro(e.At), Ref: e.Ref, Seq: f.Seq, ID: f.ID, ClientMessageID: f.ClientMessageID, Frame: &f}
	told := client.Event{Kind: client.Arrived, Ref: e.Ref, Frame: &f}
	n.mu.Lock()
	n.ref = e.Ref
	n.mu.Unlock()
	switch e.Event {
	case "connected":
		r.Kind, r.Seq, r.Since, told.Kind = client.RecordConnected, *f.LastSeq, e.Since, client.Connected
		if e.Since == nil {
			n.advance(*f.LastSeq)
		}
	case "message":
		r.Kind = client.RecordReceived
		n.advance(f.Seq)
	case "resumed", "reset":
		r.Kind, r.Expected, r.Seq, told.Kind = client.RecordResumed, f.FromSeq, f.ToSeq, client.Resumed
		if f.Reset {
			n.advance(*f.LastSeq)
		}
	case "acked":
		r.Kind, r.Duplicate = client.RecordAcknowledged, f.Duplicate
		n.forget(e.ID)
	case "failed":
		r.Kind, r.ClientMessageID, r.Detail = client.RecordDropped, e.ID, e.Detail
		n.forget(e.ID)
	case "closed":
		n.device.record(client.Record{Kind: client.RecordClosed, At: r.At, Ref: e.Ref, Code: e.Code})
		return
	case "over":
		select {
		case <-n.quit:
		default:
			n.device.handle(client.Event{Kind: client.GaveUp, Err: errors.New(e.Detail)})
		}
		return
	default: // receipts, typing, presence and errors are no records
		n.device.handle(told)
		return
	}
	n.device.record(r)
	n.device.handle(told)
}

func (n *node) advance(seq int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.highest = &seq
}

func (n *node) forget(id string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.pending, id)
}

// write sends a command. A process that has ended is noticed by Run.
func (n *node) write(command map[string]any) {
	n.writing.Lock()
	defer n.writing.Unlock()
	n.mu.Lock()
	in := n.in
	n.mu.Unlock()
	if line, err := json.Marshal(command); err == nil && in != nil {
		_, _ = in.Write(append(line, '\n'))
	}
}

// SendMessage records a message as sent when the app sends it: it must be stored, in this order.
func (n *node) SendMessage(text, id string) (string, error) {
	n.mu.Lock()
	switch {
	case n.in == nil:
		n.mu.Unlock()
		return id, client.ErrNotConnected
	case len(n.pending) >= maxUnacknowledged:
		n.mu.Unlock()
		return id, client.ErrFull
	}
	n.pending[id] = true
	ref := n.ref
	n.mu.Unlock()
	n.device.record(client.Record{Kind: client.RecordSent, At: time.Now(), Ref: ref, ClientMessageID: id, Text: text})
	n.write(map[string]any{"do": "send", "id": id, "text": text})
	return id, nil
}

// Send takes receipts and typing.
func (n *node) Send(text []byte) error {
	var f client.Frame
	if err := json.Unmarshal(text, &f); err != nil {
		return fmt.Errorf("send a frame: %w", err)
	}
	if f.Type == frame.TypeTyping {
		n.write(map[string]any{"do": "typing", "active": f.IsTyping})
		return nil
	}
	n.write(map[string]any{"do": f.Type, "seq": f.Seq})
	return nil
}

// Unacknowledged returns the number of messages that are not acknowledged.
func (n *node) Unacknowledged() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.pending)
}

// Highest returns the seq of the last message that the app was told, or the one that the stream began after.
func (n *node) Highest() (seq int64, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.highest == nil {
		return 0, false
	}
	return *n.highest, true
}

// Drop cuts the connections, as a lost network would.
func (n *node) Drop() bool {
	select {
	case <-n.done:
		return false
	default:
	}
	n.mu.Lock()
	running := n.in != nil
	n.mu.Unlock()
	if running {
		n.bridge.cut()
	}
	return running
}

// Close ends the process.
func (n *node) Close(int, string) { n.once.Do(func() { close(n.quit) }) }

// Done returns a channel that is closed when Run has returned.
func (n *node) Done() <-chan struct{} { return n.done }
