package ctl

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"
)

// clear moves to the top left corner, and home erases what is below.
const home, eraseBelow, eraseLine = "\x1b[H", "\x1b[J", "\x1b[K"

// Watch calls show again and again until ctx ends, and prints what it writes: on a terminal in
// place of what it has written before. An error of show is shown, too, and does not end it, unless
// it is the first one.
func Watch(ctx context.Context, out io.Writer, terminal bool, interval time.Duration, show func(io.Writer) error) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for first := true; ; first = false {
		var b bytes.Buffer
		err := show(&b)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && first {
			return err
		}
		if err != nil {
			_, _ = fmt.Fprintln(&b, err) // a buffer takes it
		}
		if terminal {
			screen := bytes.ReplaceAll(b.Bytes(), []byte("\n"), []byte(eraseLine+"\n"))
			if first {
				screen = append([]byte(eraseBelow), screen...)
			}
			screen = append(append([]byte(home), screen...), eraseBelow...)
			b = *bytes.NewBuffer(screen)
		}
		if _, err := out.Write(b.Bytes()); err != nil {
			return fmt.Errorf("print: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
