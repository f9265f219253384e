package session

import (
	"bufio"
	"testing"
)

// A trickle counts the reads of an endless stream.
type trickle struct{ reads int }

func (t *trickle) Read(p []byte) (int, error) { t.reads++; return len(p), nil }

func TestADroppedMessageIsReadInLargePieces(t *testing.T) {
	t.Parallel()
	var raw trickle
	s := &Session{reader: bufio.NewReaderSize(&raw, readBuffer)}
	const fragment = 1100
	for n := 0; n < discardBytes; n += fragment {
		if err := s.discard(fragment); err != nil {
			t.Fatal(err)
		}
	}
	if most := discardBytes/discardBuffer + 4; raw.reads > most {
		t.Errorf("%d reads, want %d at most", raw.reads, most)
	}
}
