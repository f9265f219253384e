package connect

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"
)

// IsTerminal reports whether a reader or writer is a terminal.
func IsTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// AskPassword asks for a password at a terminal, and does not show what is typed.
func AskPassword(ctx context.Context, in io.Reader, out io.Writer, prompt string) (string, error) {
	f, ok := in.(*os.File)
	if !ok || !IsTerminal(f) {
		return "", errors.New("a password is needed: set ROOMSPA_PASSWORD, or ROOMSPA_PASSWORD_FILE to a file that holds it")
	}
	before, err := term.GetState(int(f.Fd()))
	if err != nil {
		return "", fmt.Errorf("prepare the terminal for the password: %w", err)
	}
	_, _ = fmt.Fprint(out, prompt) // where the prompt cannot be shown, the password may still be typed
	type answer struct {
		text []byte
		err  error
	}
	typed := make(chan answer, 1)
	go func() { // outlives ctx: reading a terminal cannot be ended
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
		return "", errors.Join(errors.New("no password was given"), term.Restore(int(f.Fd()), before))
	}
}

// A terminal keeps the line that is being typed below what arrives.
type terminal struct {
	*term.Terminal
	fd    int
	state *term.State
	once  sync.Once
}

// openTerminal returns nil where one cannot be typed at, or not shown on.
func openTerminal(in io.Reader, out io.Writer) *terminal {
	i, ok := in.(*os.File)
	if !ok || !IsTerminal(i) || !IsTerminal(out) {
		return nil
	}
	state, err := term.MakeRaw(int(i.Fd()))
	if err != nil {
		return nil // a terminal that cannot be set up is used as a pipe
	}
	t := &terminal{fd: int(i.Fd()), state: state, Terminal: term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{i, out}, "> ")}
	t.resize()
	return t
}

// resize is called before each line: the window may have changed since.
func (t *terminal) resize() {
	if width, height, err := term.GetSize(t.fd); err == nil && width > 0 {
		_ = t.SetSize(width, height) // it fails only where the terminal does
	}
}

// close gives the terminal back as it was. It may be called twice, and on nil.
func (t *terminal) close() {
	if t == nil {
		return
	}
	t.once.Do(func() {
		t.SetPrompt("")
		_ = term.Restore(t.fd, t.state) // a terminal that is gone needs nothing
	})
}
