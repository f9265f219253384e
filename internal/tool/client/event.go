package client

import "time"

// An EventKind is the kind of an event of a session.
type EventKind int

// The kinds of events, in the order in which they usually occur.
const (
	// Connecting: a handshake begins. Since is set if it resumes.
	Connecting EventKind = iota
	// Connected: the socket is ready. Frame is the connected frame, nil on the echo
	// endpoint.
	Connected
	// Resumed: the replay is complete and the stream is live. Frame is the resumed frame.
	// If its Reset is set, the database was restored or replaced: drop all messages that
	// were delivered; the stream goes on after LastSeq. A reset may come at any time.
	Resumed
	// Arrived: Frame arrived. There is no event for a repeated message.
	Arrived
	// Dropped: the message with the text Message was refused for good, because of Err.
	Dropped
	// Closed: a socket or a handshake ended with Err. The session tries again after Delay;
	// Next explains what it does.
	Closed
	// GaveUp: the session ended with Err. Next advises what to do.
	GaveUp
)

func (k EventKind) String() string {
	return [...]string{"connecting", "connected", "resumed", "frame", "dropped", "closed", "gave_up"}[k]
}

// An Event describes something that happened to a session.
type Event struct {
	Kind    EventKind
	Ref     string // of the socket; empty if there is none
	Frame   *Frame
	Since   *int64
	Message string
	Err     error
	Delay   time.Duration
	Next    string
}

// A RecordKind is the kind of a record of a session.
type RecordKind int

// The kinds of records. They are sufficient to verify delivery.
const (
	// RecordConnected: a socket is ready. Seq is the last seq of the conversation; Since
	// is the seq after which a replay was requested, nil for none.
	RecordConnected RecordKind = iota
	// RecordSent: a message was written to a socket, for the first time or again.
	RecordSent
	// RecordAcknowledged: the server acknowledged a message as stored with Seq.
	RecordAcknowledged
	// RecordReceived: a message arrived for the first time, in order.
	RecordReceived
	// RecordDuplicate: a message arrived again, and was dropped. On one socket this
	// violates the protocol.
	RecordDuplicate
	// RecordGap: Seq arrived instead of Expected, which violates the protocol. The
	// session drops the message, reconnects and resumes.
	RecordGap
	// RecordDropped: a message was refused for good, because of Detail.
	RecordDropped
	// RecordClosed: a socket ended with Code; 0 if the session itself abandoned it.
	RecordClosed
	// RecordResumed: the replay of the messages from Expected to Seq is complete, or the
	// frame's Reset is set.
	RecordResumed
	// RecordDeferred: a message was refused for now, because of Detail. The session sends
	// it again later.
	RecordDeferred
)

// A Record describes one action or observation of a session.
type Record struct {
	Kind            RecordKind
	At              time.Time
	Ref             string // of the socket
	Seq             int64
	Since           *int64
	Expected        int64
	ID              string
	ClientMessageID string
	Text            string // of a sent message
	Duplicate       bool   // of an acknowledgement
	Code            int
	Detail          string
	Frame           *Frame // nil if the record is not about a received frame
}

// A Recorder receives the records of a session. It is called from two goroutines and must
// not block.
type Recorder func(Record)
