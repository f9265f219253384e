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

// A source is the files that tell how much memory is used. They stay open, so that a
// measurement is one or two reads.
type source struct {
	used      *os.File
	stat      *os.File // nil: used holds resident pages, not bytes
	filePages [][]byte // entries of stat that are subtracted
	buf       []byte
}

// unlimited is the least value that means no limit: version 1 says 2^63 less a page.
const unlimited = 1 << 60

// A layout is where a version of control groups keeps its files.
type layout struct {
	mount, controller, limit, used string
	filePages                      [][]byte
}

var (
	// https://docs.kernel.org/admin-guide/cgroup-v2.html#memory
	version2 = layout{"sys/fs/cgroup", "", "memory.max", "memory.current", [][]byte{[]byte("inactive_file"), []byte("active_file")}}
	// https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
	version1 = layout{
		"sys/fs/cgroup/memory", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
		[][]byte{[]byte("total_inactive_file"), []byte("total_active_file")},
	}
)

// A group is a control group that has a limit.
type group struct {
	layout

	dir   string // of its files
	limit int64  // in bytes, 0 if no group has one
	known bool   // whether there is a limit: at least one file could be read
}

// open returns the source of the group, or nil if its use cannot be measured.
func (g *group) open() *source {
	return open(filepath.Join(g.dir, g.used), filepath.Join(g.dir, "memory.stat"), g.filePages)
}

// limitingGroup returns the one of the control groups around this process that has the
// smallest limit.
func limitingGroup(root string) group {
	v := version1
	if _, err := os.Stat(filepath.Join(root, "sys/fs/cgroup/cgroup.controllers")); err == nil {
		v = version2
	}
	mount := filepath.Join(root, v.mount)
	g := group{layout: v}
	for name := ownGroup(root, v.controller); ; name = path.Dir(name) {
		dir := filepath.Join(mount, name)
		text, err := os.ReadFile(filepath.Join(dir, v.limit)) // in a container, only the root may exist
		n, ok := parseNumber(text)
		g.known = g.known || ok || string(bytes.TrimSpace(text)) == "max"
		if err == nil && ok && n > 0 && n < unlimited && (g.limit == 0 || n < g.limit) {
			g.dir, g.limit = dir, n
		}
		if name == "/" {
			return g
		}
	}
}

// ownGroup returns the path of this process's control group below the mount, "/" if
// it is unknown.
func ownGroup(root, controller string) string {
	text, _ := os.ReadFile(filepath.Join(root, "proc/self/cgroup")) // without it there is only the mount
	for line := range strings.Lines(string(text)) {
		// hierarchy:controllers:path
		if f := strings.SplitN(strings.TrimSpace(line), ":", 3); len(f) == 3 && slices.Contains(strings.Split(f[1], ","), controller) {
			return path.Clean("/" + f[2])
		}
	}
	return "/"
}

// processSource measures the resident memory of this process (proc_pid_statm(5)).
func processSource(root string) *source { return open(filepath.Join(root, "proc/self/statm"), "", nil) }

// open returns nil if the files cannot be read.
func open(used, stat string, filePages [][]byte) *source {
	s := &source{filePages: filePages, buf: make([]byte, 8<<10)} // memory.stat has about 2 KiB
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

// measure returns the number of bytes in use.
func (s *source) measure() (used int64, ok bool) {
	text := s.read(s.used)
	if s.stat == nil {
		_, text, _ = bytes.Cut(text, []byte(" ")) // size resident …
		text, _, _ = bytes.Cut(text, []byte(" "))
		pages, ok := parseNumber(text)
		return pages * int64(os.Getpagesize()), ok
	}
	if used, ok = parseNumber(text); !ok {
		return 0, false
	}
	stat := s.read(s.stat)
	for _, key := range s.filePages {
		used -= statEntry(stat, key)
	}
	return max(0, used), true
}

// read returns the file from its beginning, up to the size of the buffer, or nil if
// it cannot be read.
func (s *source) read(f *os.File) []byte {
	n, err := f.ReadAt(s.buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	return s.buf[:n]
}

// parseNumber reads a whole number of 0 or more. "max" is not one.
func parseNumber(text []byte) (n int64, ok bool) {
	n, err := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
	return n, err == nil && n >= 0
}

// statEntry returns the number in the first whole line "key number" of memory.stat, or
// 0 if there is none.
func statEntry(stat, key []byte) int64 {
	for len(stat) > 0 {
		line, rest, whole := bytes.Cut(stat, []byte("\n"))
		if value, found := bytes.CutPrefix(line, key); found && whole && len(value) > 0 && value[0] == ' ' {
			if n, ok := parseNumber(value[1:]); ok {
				return n
			}
		}
		stat = rest
	}
	return 0
}
