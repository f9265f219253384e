package connect

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// IsTerminal reports whether a reader or writer is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// AskPassword reads a password from a terminal without showing it. It returns an error if
// in is not a terminal.
func AskPassword(ctx context.Context, in io.Reader, out io.Writer, prompt string) (string, error) {
	f, ok := in.(*os.File)
	if !ok || !IsTerminal(f) {
		return "", errors.New("no password: set ROOMSPA_PASSWORD, or ROOMSPA_PASSWORD_FILE to the path of a file with the password")
	}
	before, err := term.GetState(int(f.Fd()))
	if err != nil {
		return "", fmt.Errorf("prepare the terminal for the password: %w", err)
	}
	_, _ = fmt.Fprint(out, prompt) // the password can be typed without a prompt
	type answer struct {
		text []byte
		err  error
	}
	typed := make(chan answer, 1)
	go func() { // it may outlive ctx: reading from a terminal cannot be interrupted
		text, err := term.ReadPassword(int(f.Fd()))
		typed <- answer{text, err}
	}()
	defer func() { _, _ = fmt.Fprintln(out) }()
	select {
	case a := <-typed:
		if a.err != nil {
			return "", fmt.Errorf("read the password: %w", a.err)
		}
		return string(a.text), nil
	case <-ctx.Done():
		return "", errors.Join(errors.New("interrupted before a password was entered"), term.Restore(int(f.Fd()), before))
	}
}

// A terminal keeps the line that is being typed below the output.
type terminal struct {
	*term.Terminal
	fd    int
	state *term.State
	once  sync.Once
}

// openTerminal returns nil if in or out is not a terminal.
func openTerminal(in io.Reader, out io.Writer) *terminal {
	i, ok := in.(*os.File)
	if !ok || !IsTerminal(i) || !IsTerminal(out) {
		return nil
	}
	state, err := term.MakeRaw(int(i.Fd()))
	if err != nil {
		return nil // a terminal without raw mode works like a pipe
	}
	t := &terminal{fd: int(i.Fd()), state: state, Terminal: term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{i, out}, "> ")}
	t.resize()
	return t
}

// resize adapts to the current size of the window.
func (t *terminal) resize() {
	if width, height, err := term.GetSize(t.fd); err == nil && width > 0 {
		_ = t.SetSize(width, height) // a wrong width is harmless
	}
}

// close restores the terminal. It may be called more than once, and on nil.
func (t *terminal) close() {
	if t == nil {
		return
	}
	t.once.Do(func() {
		t.SetPrompt("")
		_ = term.Restore(t.fd, t.state) // a terminal that is gone needs no restoring
	})
}

// readLines reads lines until the input or the session ends. Its goroutine may outlive the
// session, since reading from a terminal cannot be interrupted.
func (r *repl) readLines(in io.Reader) <-chan string {
	buffered := bufio.NewReader(in)
	read := func() (string, error) {
		line, err := buffered.ReadString('\n')
		if line != "" {
			err = nil // the last line may not end with a newline
		}
		return strings.TrimRight(line, "\r\n"), err
	}
	if r.terminal != nil {
		read = func() (string, error) {
			r.terminal.resize()
			line, err := r.terminal.ReadLine()
			if errors.Is(err, term.ErrPasteIndicator) {
				err = nil
			}
			return line, err
		}
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for {
			line, err := read()
			if err != nil {
				return
			}
			select {
			case lines <- line:
			case <-r.session.Done():
				return
			}
		}
	}()
	return lines
}
