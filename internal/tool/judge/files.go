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

// maxLine bounds the length of a line. An entry has a few hundred bytes.
const maxLine = 1 << 20

func (c *checker) readRun() error {
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

// readFaults counts the faults. A run without faults may have no such file.
func (c *checker) readFaults() error {
	err := eachLine(c.dir, FaultsFile, func(_ int, f *Fault, _ []byte) error {
		c.verdict.Faults[f.Kind]++
		c.lastFaultEnd = max(c.lastFaultEnd, f.Ended)
		if f.Rewinds {
			c.rewindEnded = max(c.rewindEnded, f.Ended)
			if c.rewindBegan == 0 || f.Began < c.rewindBegan {
				c.rewindBegan = f.Began
			}
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// eachEntry calls f for each entry of each client's history. head is the first entry of the
// history.
func (c *checker) eachEntry(f func(head, e *Entry) error) error {
	files, err := c.historyFiles()
	if err != nil {
		return err
	}
	for _, name := range files {
		var head *Entry
		err := eachLine(c.dir, name, func(_ int, e *Entry, _ []byte) error {
			if head == nil {
				if e.Kind != Begins || e.Client == "" {
					return fmt.Errorf("%s does not begin with an entry of the kind client", name)
				}
				first := *e
				head = &first
			}
			return f(head, e)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) historyFiles() ([]string, error) {
	files, err := fs.Glob(c.dir, path.Join(ClientsDir, "*.jsonl"))
	if err == nil && len(files) == 0 {
		err = errors.New("no such files in " + ClientsDir)
	}
	if err != nil {
		return nil, fmt.Errorf("find the histories of the clients: %w", err)
	}
	return files, nil
}

// eachLine calls f for each line of a file. f must not keep the entry or the text. A last
// line without a newline is ignored: its writer was killed.
func eachLine[T any](dir fs.FS, name string, f func(n int, entry *T, text []byte) error) error {
	file, err := dir.Open(name)
	if err != nil {
		return fmt.Errorf("read a history: %w", err)
	}
	defer file.Close()
	scanner := bufio.NewScanner(file)
	scanner.Buffer(make([]byte, 0, 64<<10), maxLine)
	scanner.Split(splitWholeLines)
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

func splitWholeLines(data []byte, _ bool) (advance int, token []byte, err error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i], nil
	}
	return 0, nil, nil
}
