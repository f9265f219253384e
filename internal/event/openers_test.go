package event

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"
)

// Whoever can write to Redis can make up as many processes as he likes.
func TestOnlyProcessesWhoseEventsOpenAreRemembered(t *testing.T) {
	const name = "roomspa:00112233445566aa:{7}:control"
	process := func() *Ring {
		p := NewProcess()
		p.Use(Deployment{ID: "00112233445566aa", Timeline: 1, Keys: []Key{{ID: KeyID{1}}}})
		return p.Ring()
	}
	ring := process()
	genuine := process().Seal(nil, name, time.Now(), Heartbeat{})
	if _, err := ring.Open(name, append([]byte{}, genuine...)); err != nil {
		t.Fatal(err)
	}
	for range 5000 {
		forged := append([]byte{}, genuine...)
		_, _ = rand.Read(forged[6:18]) // the process
		if _, err := ring.Open(name, forged); !errors.Is(err, ErrForeign) {
			t.Fatal(err)
		}
	}
	if len(ring.openers) != 1 {
		t.Errorf("%d processes are remembered, want 1", len(ring.openers))
	}
	for range maxOpeners + 10 { // replicas that came and went
		if _, err := ring.Open(name, process().Seal(nil, name, time.Now(), Heartbeat{})); err != nil {
			t.Fatal(err)
		}
	}
	if len(ring.openers) > maxOpeners {
		t.Errorf("%d processes are remembered, want at most %d", len(ring.openers), maxOpeners)
	}
}

// A newer release may encode the body of a kind in another way.
func TestABodyOfAnotherVersionIsNotRead(t *testing.T) {
	const name = "roomspa:00112233445566aa:{7}:control"
	p := NewProcess()
	p.Use(Deployment{ID: "00112233445566aa", Timeline: 1, Keys: []Key{{ID: KeyID{1}}}})
	r := p.Ring()
	sealed := r.Seal(nil, name, time.Now(), Heartbeat{})
	header := sealed[:headerSize]
	header[0]++
	var s scratch
	s.prepare(r, name, header)
	if _, err := r.Open(name, r.sealer.Seal(header, s.nonce[:], []byte("{}"), s.data)); !errors.Is(err, ErrUnknown) {
		t.Errorf("opened: %v", err)
	}
}
