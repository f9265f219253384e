package session

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"

	"github.com/roomspa/roomspa/internal/frame"
)

const (
	// maxHeader is the size of the longest frame header of a client, and maxControl that of
	// the longest payload of a control frame (RFC 6455 §5.2, §5.5).
	maxHeader, maxControl = 14, 125
	// smallFragment is the size in bytes below which a fragment counts for the frame rate.
	// Larger ones are bounded by the size and the rate of messages.
	smallFragment = 1 << 10
	// framePeriod and frameBurst limit the rate of control frames and small fragments.
	framePeriod, frameBurst = 10 * time.Millisecond, 1000
)

// discardBuffer is the size in bytes of the read buffer while a message is discarded.
const discardBuffer = 8 << 10

// A header is the header of a frame that a client sent.
type header struct {
	op   byte
	fin  bool
	size int
	mask [4]byte
}

func (h *header) isControl() bool { return h.op >= opClose&0xf }

// A protocolError says how a client violated RFC 6455.
type protocolError string

func (e protocolError) Error() string { return string(e) }

// tooManyFrames is the close for a client that sends control frames or small fragments
// without a pause.
var tooManyFrames = &frame.Close{
	Code: frame.CodePolicy, Reason: "rate_limited",
	Detail: fmt.Sprintf("more than %d control frames and small fragments per second", time.Second/framePeriod),
}

// readHeader reads the header of the next frame. inMessage says that the last data frame was
// not the end of its message.
func (s *Session) readHeader(inMessage bool) (h header, err error) {
	p, err := s.reader.Peek(2)
	if err != nil {
		return h, err
	}
	h.op, h.fin, h.size = p[0]&0xf, p[0]&0x80 != 0, int(p[1]&0x7f)
	switch {
	case p[0]&0x70 != 0:
		return h, protocolError("a reserved bit is set")
	case p[1]&0x80 == 0:
		return h, protocolError("the frame is not masked")
	case h.isControl() && !h.fin:
		return h, protocolError("a control frame is fragmented")
	case h.isControl() && h.size > maxControl:
		return h, protocolError("a control frame has more than 125 bytes")
	case h.op > opPong&0xf || h.op > opBinary&0xf && !h.isControl():
		return h, protocolError(fmt.Sprintf("unknown opcode %d", h.op))
	case inMessage && h.op != 0 && !h.isControl():
		return h, protocolError("a message begins before the last one has ended")
	case !inMessage && h.op == 0:
		return h, protocolError("a continuation frame without a message")
	}
	length := 6
	switch h.size {
	case 126:
		length = 8
	case 127:
		length = maxHeader
	}
	if p, err = s.reader.Peek(length); err != nil {
		return h, err
	}
	switch length {
	case 8:
		h.size = int(binary.BigEndian.Uint16(p[2:]))
	case maxHeader:
		n := binary.BigEndian.Uint64(p[2:])
		if n>>63 != 0 {
			return h, protocolError("the length of a frame is negative")
		}
		h.size = int(n)
	}
	copy(h.mask[:], p[length-4:])
	_, _ = s.reader.Discard(length) // it is in the buffer
	if (h.isControl() || h.op == 0 || !h.fin) && h.size < smallFragment && !s.frames.allow(time.Now(), framePeriod, frameBurst) {
		return h, tooManyFrames
	}
	return h, nil
}

// unmask decodes the part of a payload that begins at offset (RFC 6455 §5.3).
func (h *header) unmask(p []byte, offset int) {
	var mask [8]byte
	for i := range mask {
		mask[i] = h.mask[(offset+i)&3]
	}
	word := binary.LittleEndian.Uint64(mask[:])
	for ; len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^word)
	}
	for i := range p {
		p[i] ^= mask[i]
	}
}

// discard reads and drops n bytes. It gives the reader a larger buffer: the session is ending,
// and with the small one a client could make the server read 288 bytes at a time.
func (s *Session) discard(n int) error {
	if s.reader.Size() < discardBuffer {
		s.reader = bufio.NewReaderSize(s.reader, discardBuffer)
	}
	_, err := s.reader.Discard(n)
	return err
}

// handleControl reads the payload of a control frame and handles it. The error for a Close is
// a *websocket.CloseError.
func (s *Session) handleControl(h *header) error {
	p, err := s.reader.Peek(h.size)
	if err != nil {
		return err
	}
	payload := append(make([]byte, 0, maxControl), p...)
	_, _ = s.reader.Discard(h.size)
	h.unmask(payload, 0)
	now := time.Now().UnixNano()
	s.lastActive.Store(now)
	switch h.op | 0x80 {
	case opClose:
		return parseClose(payload)
	case opPing:
		text := string(payload)
		s.mu.Lock()
		s.pendingPong = &text
		s.mu.Unlock()
		s.Wake()
		if s.log.Watched() {
			s.log.Debug(s.endpoint.component, "Ping received", slog.Int("bytes", h.size))
		}
	default:
		s.mu.Lock()
		if s.pingSent != 0 {
			s.roundTrip = int32(min(max(1, (now-s.pingSent)/1000), math.MaxInt32)) //nolint:gosec // bounded
		}
		took := s.roundTrip
		s.pingSent, s.lastPong = 0, now
		s.mu.Unlock()
		if s.log.Watched() {
			s.log.Debug(s.endpoint.component, "Pong received", slog.Duration("round_trip", time.Duration(took)*time.Microsecond))
		}
	}
	return nil
}

// parseClose returns the peer's Close, or a protocolError.
func parseClose(payload []byte) error {
	switch len(payload) {
	case 0:
		return &websocket.CloseError{Code: websocket.CloseNoStatusReceived}
	case 1:
		return protocolError("a close code has two bytes")
	}
	code, text := int(binary.BigEndian.Uint16(payload)), payload[2:]
	// RFC 6455 §7.4 and the registry of IANA
	valid := code >= 1000 && code <= 1003 || code >= 1007 && code <= 1014 || code >= 3000 && code <= 4999
	if !valid {
		return protocolError(fmt.Sprintf("bad close code %d", code))
	}
	if !utf8.Valid(text) {
		return protocolError("the reason of the close is not UTF-8")
	}
	return &websocket.CloseError{Code: code, Text: string(text)}
}
