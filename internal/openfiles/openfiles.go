// Package openfiles knows how many files, and so how many sockets, this process may open.
package openfiles

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// Explain returns the text of an error of a process that has used up its open files, with the
// limit. It returns "" for other errors.
func Explain(err error) string {
	if err == nil || !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) && !strings.Contains(err.Error(), "too many open files") {
		return ""
	}
	limit := "its limit"
	if errors.Is(err, syscall.ENFILE) {
		limit = "the limit of the whole machine (fs.file-max)"
	} else if n := Limit(); n > 0 {
		limit = fmt.Sprintf("its limit of %d (RLIMIT_NOFILE)", n)
	}
	return fmt.Sprintf("this process can open no more files or sockets: %s is used up (%v)", limit, err)
}
