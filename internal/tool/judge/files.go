package judge

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// mostLine is the longest line that is read: an entry has a few hundred bytes.
const mostLine = 1 << 20

func (c *court) readRun() error {
	text, err := fs.ReadFile(c.dir, RunFile)
	if err != nil {
		return fmt.Errorf("read the run: %w", err)
	}
	if err := json.Unmarshal(text, &c.run); err != nil {
		return fmt.Errorf("read %s: %w", RunFile, err)
	}
	c.run.Within = cmp.Or(c.run.Within, DefaultWithin)
	return nil
}

// readFaults counts the faults. A run without any has no such file.
func (c *court) readFaults() error {
	err := lines(c.dir, FaultsFile, func(_ int, f *Fault, _ []byte) error {
		c.verdict.Faults[f.Kind]++
		c.fault = max(c.fault, f.Ended)
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// histories calls f for each line of each client's history; head is the first
// line of its file.
func (c *court) histories(f func(head *Entry, line int, e *Entry) error) error {
	files, err := c.files()
	if err != nil {
		return err
	}
	for _, name := range files {
		var head *Entry
		err := lines(c.dir, name, func(n int, e *Entry, _ []byte) error {
			if head == nil {
				if e.Kind != Begins || e.Client == "" {
					return fmt.Errorf("%s does not begin with who the client is", name)
				}
				first := *e
				head = &first
			}
			return f(head, n, e)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *court) files() ([]string, error) {
	files, err := fs.Glob(c.dir, path.Join(ClientsDir, "*.jsonl"))
	if err == nil && len(files) == 0 {
		err = errors.New("there is none")
	}
	if err != nil {
		return nil, fmt.Errorf("find the clients' histories: %w", err)
	}
	return files, nil
}

// lines calls f for each line of a file. The entry and the text are f's only
// until it returns. A last line without its end was cut off with its writer, and
// is left out.
func lines[T any](dir fs.FS, name string, f func(n int, entry *T, text []byte) error) error {
	file, err := dir.Open(name)
	if err != nil {
		return fmt.Errorf("read a history: %w", err)
	}
	defer file.Close()
	scanner := bufio.NewScanner(file)
	scanner.Buffer(make([]byte, 0, 64<<10), mostLine)
	scanner.Split(wholeLines)
	var entry T
	for n := 1; scanner.Scan(); n++ {
		var zero T
		entry = zero
		if err := json.Unmarshal(scanner.Bytes(), &entry); err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
		if err := f(n, &entry, scanner.Bytes()); err != nil {
			return err
		}
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

func wholeLines(data []byte, _ bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	return 0, nil, nil
}
