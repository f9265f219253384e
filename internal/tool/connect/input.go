package connect

import (
	"bufio"
	"errors"
	"io"
	"strings"

	"golang.org/x/term"
)

// lines reads the input until its end. Its goroutine outlives the talk where it
// waits for a line that never comes: reading a terminal cannot be ended.
func (t *talk) lines(in io.Reader) <-chan string {
	next := bufio.NewReader(in)
	read := func() (string, error) {
		line, err := next.ReadString('\n')
		if line != "" {
			err = nil // a last line without an end
		}
		return strings.TrimRight(line, "\r\n"), err
	}
	if t.terminal != nil {
		read = func() (string, error) {
			t.terminal.resize()
			line, err := t.terminal.ReadLine()
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
			case <-t.session.Done():
				return
			}
		}
	}()
	return lines
}
