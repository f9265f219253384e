package event

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The layout of a sealed event: a header of 34 bytes, the encrypted body, and a tag of 16
// bytes. All numbers are big endian. The header is authenticated, but not encrypted:
//
//	0  version of the body   1 byte
//	1  kind                  1 byte
//	2  id of the master key  4 bytes
//	6  sending process      12 bytes
//	18 counter               8 bytes, the nonce (after 4 zero bytes)
//	26 time                  8 bytes, Unix nanoseconds
//
// The cipher is AES-256-GCM (NIST SP 800-38D). Its key is derived from the master key for
// each process by HKDF-SHA-256 (RFC 5869), with the process id as salt. The associated data
// is the header, the length of the deployment id (2 bytes), the deployment id, the timeline
// (8 bytes), and the whole Redis key or channel name.
const (
	headerSize = 34
	tagSize    = 16
	// Overhead is the number of bytes that sealing adds to a body.
	Overhead = headerSize + tagSize

	keyInfo = "roomspa event 1"
)

// A ProcessID identifies a process that seals events. It is random.
type ProcessID [12]byte

// String returns the id as 24 hexadecimal digits.
func (id ProcessID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText implements [encoding.TextMarshaler]. The text is that of String.
func (id ProcessID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. Anything but 24 hexadecimal digits is an error.
func (id *ProcessID) UnmarshalText(text []byte) error {
	if len(text) != 2*len(id) {
		return errors.New("a process id has 24 hexadecimal digits")
	}
	_, err := hex.Decode(id[:], text)
	return err //nolint:wrapcheck // it says what is wrong
}

// ParseProcessID reads what [ProcessID.String] returns.
func ParseProcessID(s string) (id ProcessID, ok bool) {
	err := id.UnmarshalText([]byte(s))
	return id, err == nil
}

// A KeyID identifies a master key.
type KeyID [4]byte

// String returns the id as 8 hexadecimal digits.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// A Key is a master key. Its secret must never be logged.
type Key struct {
	ID     KeyID
	Secret [32]byte
}

// String returns the id of the key: formatting a Key never shows its secret.
func (k Key) String() string { return k.ID.String() }

// GoString implements [fmt.GoStringer].
func (k Key) GoString() string { return k.ID.String() }

// A Deployment is the identity of all replicas that share one database. It comes from
// Postgres.
type Deployment struct {
	ID       string // 16 hexadecimal digits
	Timeline int64  // rises when the database has gone back in time
	Keys     []Key  // the first one seals, all of them open
}

// Same reports whether events of d and of other belong together: whether they have the same
// deployment id and timeline.
func (d *Deployment) Same(other *Deployment) bool {
	return d.ID == other.ID && d.Timeline == other.Timeline
}

// A Process seals events under an id of its own. Its methods may be called concurrently.
type Process struct {
	id      ProcessID
	counter atomic.Uint64
	ring    atomic.Pointer[Ring]
}

// NewProcess returns a process with a random id. It has no ring before [Process.Use].
func NewProcess() *Process {
	p := &Process{}
	_, _ = rand.Read(p.id[:]) // never fails (crypto/rand, since Go 1.24)
	return p
}

// ID returns the id of the process.
func (p *Process) ID() ProcessID { return p.id }

// Ring returns the keys and the identity that are in use, or nil before Use.
func (p *Process) Ring() *Ring { return p.ring.Load() }

// Use makes the process seal and open the events of a deployment from now on. A deployment
// has at least one key.
func (p *Process) Use(d Deployment) {
	r := &Ring{Deployment: d, process: p, openers: map[opener]cipher.AEAD{}}
	r.sealer = derive(&d.Keys[0], p.id)
	p.ring.Store(r)
}

// A Ring seals and opens the events of one deployment and timeline. Its methods may be
// called concurrently.
type Ring struct {
	Deployment

	process *Process
	sealer  cipher.AEAD

	mu      sync.RWMutex
	openers map[opener]cipher.AEAD
}

// An opener is a process and the master key that its events are sealed with.
type opener struct {
	key     KeyID
	process ProcessID
}

// maxOpeners is the maximum number of derived keys that a ring remembers.
const maxOpeners = 1024

// Seal appends a sealed event to dst and returns the result. name is the whole Redis key or
// channel name that the event is for, and at is the current time.
func (r *Ring) Seal(dst []byte, name string, at time.Time, body Body) []byte {
	s := scratches.Get().(*scratch) //nolint:forcetypeassert,errcheck // nothing else is stored
	defer s.free()
	s.body = body.AppendTo(s.body[:0])
	from := len(dst)
	dst = slices.Grow(dst, Overhead+len(s.body))
	dst = append(dst, kinds[body.Kind()].version, byte(body.Kind()))
	dst = append(dst, r.Keys[0].ID[:]...)
	dst = append(dst, r.process.id[:]...)
	dst = binary.BigEndian.AppendUint64(dst, r.process.counter.Add(1))
	dst = binary.BigEndian.AppendUint64(dst, uint64(at.UnixNano())) //nolint:gosec // read as it is written
	s.prepare(r, name, dst[from:])
	return r.sealer.Seal(dst, s.nonce[:], s.body, s.data)
}

// Open verifies and decrypts an event in place. name is the whole Redis key or channel name
// under which it was found. The error is [ErrForeign], or wraps [ErrUnknown] or [ErrBody];
// the latter two come with an event whose header is valid.
func (r *Ring) Open(name string, sealed []byte) (Event, error) {
	if len(sealed) < Overhead {
		return Event{}, ErrForeign
	}
	header := sealed[:headerSize]
	by := opener{KeyID(header[2:6]), ProcessID(header[6:18])}
	aead, known := r.opener(by)
	if aead == nil {
		return Event{}, ErrForeign
	}
	s := scratches.Get().(*scratch) //nolint:forcetypeassert,errcheck // nothing else is stored
	defer s.free()
	s.prepare(r, name, header)
	body, err := aead.Open(sealed[headerSize:headerSize], s.nonce[:], sealed[headerSize:], s.data)
	if err != nil {
		return Event{}, ErrForeign
	}
	if !known {
		r.remember(by, aead)
	}
	e := Event{
		Kind: Kind(header[1]), Sender: by.process, Counter: binary.BigEndian.Uint64(header[18:]),
		At: time.Unix(0, int64(binary.BigEndian.Uint64(header[26:]))), Body: body, //nolint:gosec // as it was written
	}
	kind := kinds[e.Kind]
	if kind.check == nil || header[0] != kind.version {
		return e, ErrUnknown
	}
	return e, kind.check(body)
}

// Knows reports whether the sealed event names a master key of this ring. An event that it
// knows and cannot open was forged, damaged or copied, or is of another timeline.
func (r *Ring) Knows(sealed []byte) bool {
	return len(sealed) >= Overhead && r.key(KeyID(sealed[2:6])) != nil
}

func (r *Ring) key(id KeyID) *Key {
	for i := range r.Keys {
		if r.Keys[i].ID == id {
			return &r.Keys[i]
		}
	}
	return nil
}

// opener returns the cipher that opens the events of a process, or nil if its master key is
// unknown. known says that it is remembered.
func (r *Ring) opener(by opener) (aead cipher.AEAD, known bool) {
	r.mu.RLock()
	aead = r.openers[by]
	r.mu.RUnlock()
	if aead != nil {
		return aead, true
	}
	if key := r.key(by.key); key != nil {
		aead = derive(key, by.process)
	}
	return aead, false
}

// remember keeps a cipher that has opened an event. A forged event never gets here, so a
// flood of them displaces nothing.
func (r *Ring) remember(by opener, aead cipher.AEAD) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.openers) >= maxOpeners {
		clear(r.openers) // processes that are long gone; the others are derived again
	}
	r.openers[by] = aead
}

// derive returns the cipher of a process under a master key.
func derive(key *Key, process ProcessID) cipher.AEAD {
	secret, err := hkdf.Key(sha256.New, key.Secret[:], process[:], keyInfo, 32)
	if err != nil {
		panic(err) // only a length of more than 8,160 bytes is an error
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		panic(err) // 32 bytes are a valid length
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has the right block size
	}
	return aead
}

// A scratch holds what sealing or opening one event needs, so that none of it is allocated
// for each event.
type scratch struct {
	nonce [12]byte
	data  []byte // associated data
	body  []byte // to be sealed
}

var scratches = sync.Pool{New: func() any { return &scratch{data: make([]byte, 0, 256), body: make([]byte, 0, 1024)} }}

// prepare sets the nonce and the associated data.
func (s *scratch) prepare(r *Ring, name string, header []byte) {
	copy(s.nonce[4:], header[18:26])
	s.data = append(s.data[:0], header...)
	s.data = binary.BigEndian.AppendUint16(s.data, uint16(len(r.ID))) //nolint:gosec // 16
	s.data = append(s.data, r.ID...)
	s.data = binary.BigEndian.AppendUint64(s.data, uint64(r.Timeline)) //nolint:gosec // positive
	s.data = append(s.data, name...)
}

// free returns the scratch to the pool, without the memory of an unusually large body.
func (s *scratch) free() {
	if cap(s.body) > 16<<10 {
		s.body = nil
	}
	scratches.Put(s)
}
