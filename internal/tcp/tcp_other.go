//go:build !linux

package tcp

// TryWrite writes nothing.
func (c *Conn) TryWrite([]byte) int { return 0 }

// Idle returns false, which means that it does not know.
func (c *Conn) Idle() bool { return false }
