package session

import (
	"encoding/binary"
	"sync"
)

// batchBytes is the size at which the writer stops collecting frames and writes them. It
// bounds the memory that a stalled socket holds.
const batchBytes = 8 << 10

// A batch holds the frames of one write, and the offset at which each of them ends.
type batch struct {
	buf  []byte
	ends []int
	sent int // bytes of buf that are written
}

var batches = sync.Pool{New: func() any { return &batch{buf: make([]byte, 0, batchBytes+1024)} }}

func newBatch() *batch {
	b := batches.Get().(*batch) //nolint:forcetypeassert,errcheck // nothing else is stored
	b.reset()
	return b
}

func freeBatch(b *batch) {
	if cap(b.buf) <= 4*batchBytes {
		batches.Put(b)
	}
}

func (b *batch) reset() { b.buf, b.ends, b.sent = b.buf[:0], b.ends[:0], 0 }

// append adds a frame. Server frames are not masked (RFC 6455 §5.1), so the payload can be
// shared by all sockets.
func (b *batch) append(op byte, payload []byte) {
	switch n := len(payload); {
	case n < 126:
		b.buf = append(b.buf, op, byte(n))
	case n < 1<<16:
		b.buf = binary.BigEndian.AppendUint16(append(b.buf, op, 126), uint16(n))
	default:
		b.buf = binary.BigEndian.AppendUint64(append(b.buf, op, 127), uint64(n))
	}
	b.buf = append(b.buf, payload...)
	b.ends = append(b.ends, len(b.buf))
}

// restOfFrame returns the unwritten bytes of the current frame.
func (b *batch) restOfFrame(written int) []byte {
	for _, end := range b.ends {
		if end >= written {
			return b.buf[written:end]
		}
	}
	return nil
}
