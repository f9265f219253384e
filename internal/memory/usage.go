package memory

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A source is the files that say how much is used. They stay open, so to measure is one
// or two reads.
type source struct {
	used  *os.File
	stat  *os.File // nil: used counts pages, and all of them count
	files [][]byte // what in stat does not count: pages of files, which the kernel drops first
	buf   []byte
}

// unlimited is from where on a limit is none: version 1 says 2^63 less a page.
const unlimited = 1 << 60

// versions is how the two versions of control groups say it.
//   - Version 2: https://docs.kernel.org/admin-guide/cgroup-v2.html#memory
//   - Version 1: https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
var versions = map[bool]struct {
	mount, controller, limit, used string
	files                          [][]byte
}{
	true: {"sys/fs/cgroup", "", "memory.max", "memory.current", [][]byte{[]byte("inactive_file"), []byte("active_file")}},
	false: {
		"sys/fs/cgroup/memory", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
		[][]byte{[]byte("total_inactive_file"), []byte("total_active_file")},
	},
}

// controlGroup finds the smallest limit of the control groups that this process is in. A
// limit without a source is one that nothing can be measured against.
func controlGroup(root string) (s *source, limit int64) {
	_, err := os.Stat(filepath.Join(root, "sys/fs/cgroup/cgroup.controllers"))
	v := versions[err == nil]
	mount, own := filepath.Join(root, v.mount), ownGroup(root, v.controller)
	var dir string
	for at := own; ; at = path.Dir(at) {
		text, err := os.ReadFile(filepath.Join(mount, at, v.limit)) // in a container only that of the mount may be there
		if n, ok := number(text); err == nil && ok && n > 0 && n < unlimited && (limit == 0 || n < limit) {
			dir, limit = at, n
		}
		if at == "/" {
			break
		}
	}
	if limit == 0 {
		return nil, 0
	}
	return open(filepath.Join(mount, dir, v.used), filepath.Join(mount, dir, "memory.stat"), v.files), limit
}

// ownGroup returns the control group of this process below the mount, which begins with
// a slash; that of a container has no name inside of it.
func ownGroup(root, controller string) string {
	text, _ := os.ReadFile(filepath.Join(root, "proc/self/cgroup")) // without it the mount is what there is
	for line := range strings.Lines(string(text)) {
		// hierarchy:controllers:path
		if f := strings.SplitN(strings.TrimSpace(line), ":", 3); len(f) == 3 && slices.Contains(strings.Split(f[1], ","), controller) {
			return path.Clean("/" + f[2])
		}
	}
	return "/"
}

// ownMemory is the resident memory of this process (proc_pid_statm(5)).
func ownMemory(root string) *source { return open(filepath.Join(root, "proc/self/statm"), "", nil) }

// open returns nil where it cannot be measured.
func open(used, stat string, files [][]byte) *source {
	s := &source{files: files, buf: make([]byte, 8<<10)} // memory.stat has some 2 KiB
	var err error
	if s.used, err = os.Open(used); err != nil {
		return nil
	}
	if stat != "" {
		if s.stat, err = os.Open(stat); err != nil {
			_ = s.used.Close()
			return nil
		}
	}
	if _, ok := s.measure(); !ok {
		s.close()
		return nil
	}
	return s
}

func (s *source) close() {
	_ = s.used.Close()
	if s.stat != nil {
		_ = s.stat.Close()
	}
}

// measure returns the bytes that are used.
func (s *source) measure() (used int64, ok bool) {
	text := s.read(s.used)
	if s.stat == nil {
		_, text, _ = bytes.Cut(text, []byte(" ")) // size resident …
		text, _, _ = bytes.Cut(text, []byte(" "))
		pages, ok := number(text)
		return pages * int64(os.Getpagesize()), ok
	}
	if used, ok = number(text); !ok {
		return 0, false
	}
	stat := s.read(s.stat)
	for _, key := range s.files {
		used -= entry(stat, key)
	}
	return max(0, used), true
}

// read returns what the kernel writes for who reads from the beginning, up to the size
// of the buffer, and nothing where that fails.
func (s *source) read(f *os.File) []byte {
	n, err := f.ReadAt(s.buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	return s.buf[:n]
}

// number reads a whole number that is not negative; "max" is none.
func number(text []byte) (n int64, ok bool) {
	n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	return n, err == nil && n >= 0
}

// entry returns the number of a line "key number" of memory.stat, and 0 where there is
// none. A line that was cut off is none.
func entry(stat, key []byte) int64 {
	for len(stat) > 0 {
		line, rest, whole := bytes.Cut(stat, []byte("\n"))
		if value, found := bytes.CutPrefix(line, key); found && whole && len(value) > 0 && value[0] == ' ' {
			if n, ok := number(value[1:]); ok {
				return n
			}
		}
		stat = rest
	}
	return 0
}
