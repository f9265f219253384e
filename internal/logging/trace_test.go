package logging_test

import (
	"testing"

	"github.com/roomspa/roomspa/internal/logging"
)

func TestTraceID(t *testing.T) {
	t.Parallel()
	const id, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for header, want := range map[string]string{
		"00-" + id + "-" + parent + "-01":      id,
		"01-" + id + "-" + parent + "-00-more": id, // of a later version
		"":                                     "",
		id:                                     "",
		"00-" + id + "-" + parent:              "",
		"00-" + id + "-" + parent + "-01-more": "",
		"ff-" + id + "-" + parent + "-01":      "",
		"00-" + id + "-0000000000000000-01":    "",
		"00-00000000000000000000000000000000-" + parent + "-01":  "",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-" + parent + "-01":  "",
		"00-4bf92f3577b34da6a3ce929d0e0e473\n-" + parent + "-01": "",
	} {
		if got := logging.TraceID(header); got != want {
			t.Errorf("%q has the trace id %q, want %q", header, got, want)
		}
	}
}
