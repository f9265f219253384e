package tcp

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// A call is one call of a method of [Conn]. It is reused, because the function that
// [syscall.RawConn] takes would otherwise be allocated each time.
type call struct {
	p   []byte // the rest of the caller's buffer
	n   int    // bytes that were read or written
	err syscall.Errno
	run func(fd uintptr) (done bool)
}

var reads, writes, tries = pool((*call).read), pool((*call).write), pool((*call).tryWrite)

// pool returns a pool of calls that run f.
func pool(f func(c *call, fd uintptr) bool) *sync.Pool {
	return &sync.Pool{New: func() any {
		c := &call{}
		c.run = func(fd uintptr) bool { return f(c, fd) }
		return c
	}}
}

func (c *call) read(fd uintptr) bool { return c.do(syscall.SYS_READ, fd) }

func (c *call) write(fd uintptr) bool {
	for c.do(syscall.SYS_WRITE, fd) {
		if c.err != 0 || len(c.p) == 0 {
			return true
		}
	}
	return false
}

func (c *call) tryWrite(fd uintptr) bool {
	c.do(syscall.SYS_WRITE, fd)
	return true
}

// do makes the system call, which does not wait. It returns false if the kernel has no bytes to
// read, or no room for any. Unlike those of package syscall, these calls order nothing for the race
// detector.
func (c *call) do(number, fd uintptr) bool {
	for {
		n, _, err := syscall.RawSyscall(number, fd, uintptr(unsafe.Pointer(&c.p[0])), uintptr(len(c.p))) //nolint:gosec // a buffer for the kernel
		if err == syscall.EINTR {
			continue
		}
		if c.err = err; err != 0 {
			return err != syscall.EAGAIN
		}
		c.n += int(n) //nolint:gosec // at most the length of the buffer
		c.p = c.p[n:]
		return true
	}
}

// Read is [net.Conn.Read].
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return c.TCPConn.Read(p) //nolint:wrapcheck // a net.Conn returns the connection's own error
	}
	call := start(reads, p)
	defer call.end(reads)
	err := c.raw.Read(call.run)
	if err = c.explain("read", err, call.err); err != nil {
		return 0, err
	}
	if call.n == 0 {
		return 0, io.EOF
	}
	return call.n, nil
}

// Write is [net.Conn.Write].
func (c *Conn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return c.TCPConn.Write(p) //nolint:wrapcheck // a net.Conn returns the connection's own error
	}
	call := start(writes, p)
	defer call.end(writes)
	err := c.raw.Write(call.run)
	return call.n, c.explain("write", err, call.err)
}

// TryWrite writes what the kernel takes without waiting, and returns the number of these bytes.
// The next Write returns the error, if there is one.
func (c *Conn) TryWrite(p []byte) int {
	if len(p) == 0 {
		return 0
	}
	call := start(tries, p)
	defer call.end(tries)
	_ = c.raw.Write(call.run)
	return call.n
}

// Idle reports whether the connection is open, as far as the kernel knows, and has nothing to read.
func (c *Conn) Idle() bool {
	idle := false
	_ = c.raw.Control(func(fd uintptr) {
		var b byte
		_, _, err := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&b)), 1, syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0) //nolint:gosec // a buffer for the kernel
		idle = err == syscall.EAGAIN
	})
	return idle
}

func start(pool *sync.Pool, p []byte) *call {
	c := pool.Get().(*call) //nolint:forcetypeassert,errcheck // nothing else is stored
	c.p, c.n, c.err = p, 0, 0
	return c
}

func (c *call) end(pool *sync.Pool) {
	c.p = nil
	pool.Put(c)
}

// explain returns the error that package net would return. conn is the error of the connection, such as a
// passed deadline, and call that of the system call.
func (c *Conn) explain(operation string, conn error, call syscall.Errno) error {
	if e, ok := errors.AsType[*net.OpError](conn); ok {
		e.Op = operation // instead of raw-read
	}
	if conn != nil || call == 0 {
		return conn //nolint:wrapcheck // a net.Conn returns the connection's own error
	}
	return &net.OpError{Op: operation, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError(operation, call)}
}
