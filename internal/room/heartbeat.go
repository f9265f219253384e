package room

import "time"

// A Heartbeat is what a replica tells the other replicas about itself.
type Heartbeat struct {
	ID      string // of the process, unique
	Replica string // name of the replica
	// HeardSelf is how long the replica has heard itself over the channel layer
	// without a gap, or 0 if it does not.
	HeardSelf time.Duration
	// SigningKey is the fingerprint of the key that the replica signs tokens with.
	// AcceptedKeys are the fingerprints of all its own keys. Fingerprints are only
	// good for comparing.
	SigningKey   string
	AcceptedKeys []string
	Age          time.Duration // since the heartbeat was stored, by the store's clock
	// ClockOffset is the replica's clock minus the store's. The store measures it: that
	// of a heartbeat to store is ignored. It includes the time that the heartbeat took.
	ClockOffset time.Duration
	Version     string        // of roomspa; empty if the replica is of an earlier build
	Uptime      time.Duration // of the replica, 0 if unknown
	// Settings are the options that must be equal on all replicas, by name, without secrets.
	// Nil means unknown.
	Settings map[string]string
}
