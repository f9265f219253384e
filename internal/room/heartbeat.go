package room

import "time"

// A Beat is the sign of life that a replica leaves where the others see it.
type Beat struct {
	ID      string // of the process, unlike any other
	Replica string // its name
	// Hears is for how long it has heard itself over the channel layer, without a gap;
	// 0 where it does not.
	Hears time.Duration
	// Signs is the fingerprint of the key that it signs tokens with; Accepts has those
	// of all its own keys. They are good for comparing and for nothing else.
	Signs   string
	Accepts []string
	Age     time.Duration // of the beat, by the clock of whoever keeps it
}
