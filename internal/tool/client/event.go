package client

import "time"

// An EventKind says what happened to a session.
type EventKind int

// What happens to a session, in the order in which it usually does.
const (
	// Connecting: a handshake begins. Since is set where it resumes.
	Connecting EventKind = iota
	// Connected: the endpoint has let us in. Frame is its first frame, nil on the
	// echo endpoint, which says nothing.
	Connected
	// Resumed: the replay is over and the stream is live; Frame says what was
	// replayed. With its Reset, drop every message beyond ToSeq.
	Resumed
	// Arrived: Frame has arrived. Repeated messages do not.
	Arrived
	// Dropped: Message will never be stored, and Err says why.
	Dropped
	// Closed: a socket or a handshake ended as Err says; Next says what is done
	// now and Delay when.
	Closed
	// GaveUp: the session is over, for the reason Err; Next says what to do.
	GaveUp
)

func (k EventKind) String() string {
	return [...]string{"connecting", "connected", "resumed", "frame", "dropped", "closed", "gave_up"}[k]
}

// An Event is one thing that happened to a session.
type Event struct {
	Kind    EventKind
	Ref     string // the socket's; empty where there is none
	Frame   *Frame
	Since   *int64
	Message string // Dropped: its text
	Err     error
	Delay   time.Duration
	Next    string
}

// A RecordKind says what a session did or saw.
type RecordKind int

// What a session records. A checker of delivery needs no more than this.
const (
	// RecordConnected: a socket is ready; Seq is the conversation's last, and Since
	// what the replay was asked for, nil for none.
	RecordConnected RecordKind = iota
	// RecordSent: a message was written to a socket, for the first time or again.
	RecordSent
	// RecordAcknowledged: the server says that a message is stored, as Seq.
	RecordAcknowledged
	// RecordReceived: a message came for the first time, next in order.
	RecordReceived
	// RecordDuplicate: a message came again, and was dropped. On one socket this
	// breaks the contract.
	RecordDuplicate
	// RecordGap: Seq came where Expected should have. It breaks the contract; the
	// message is not taken, the session reconnects and resumes.
	RecordGap
	// RecordReset: the server has lost the messages beyond Seq, up to Expected-1.
	RecordReset
	// RecordDropped: a message was refused for good.
	RecordDropped
	// RecordClosed: a socket ended, with Code; 0 where we had no use for it.
	RecordClosed
	// RecordResumed: the replay is over; its messages were Expected to Seq.
	RecordResumed
	// RecordDeferred: a message was refused for now, as Detail says, and is sent
	// again later.
	RecordDeferred
)

// A Record is one entry of what a session did or saw.
type Record struct {
	Kind            RecordKind
	At              time.Time
	Ref             string // the socket's
	Seq             int64
	Since           *int64
	Expected        int64
	ID              string
	ClientMessageID string
	Text            string // of what was sent
	Duplicate       bool   // of an acknowledgement
	Code            int
	Detail          string // why a message was deferred or dropped
	Frame           *Frame // of what came from the server
}

// A Recorder is told all that a session does and sees. It is called from two
// goroutines, and must not block.
type Recorder func(Record)
