package diagnose

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"unicode"
)

// The words for what is no cause of its own.
const (
	interrupted = "interrupted"
	unexpected  = "unexpected_answer"
)

// roomOf returns what a path says behind /ws/chat/ or /ws/location/.
func roomOf(path string) string {
	_, rest, _ := strings.Cut(path, "/ws/")
	endpoint, room, _ := strings.Cut(rest, "/")
	if endpoint != "chat" && endpoint != "location" {
		return ""
	}
	return strings.TrimSuffix(room, "/") + "/" // an incomplete one is for the server to refuse
}

func timedOut(err error) bool {
	var network net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &network) && network.Timeout()
}

// reasonOf is an error without the URL, which may hold a token.
func reasonOf(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	switch {
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "closed"
	}
	return clip(err.Error())
}

// printable keeps what others wrote from commanding a terminal.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n', r == '\t', r == '\r':
			b.WriteByte(' ')
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
