package logging_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/logging"
)

func conn() (*logging.Conn, *bytes.Buffer) {
	var out bytes.Buffer
	return &logging.Conn{Log: logging.New(&out, logging.Options{Format: "text", Replica: "a"}), Ref: "r", Remote: "192.0.2.1"}, &out
}

func TestHeldLinesAreWrittenInTheirOrderAndWithTheirTimes(t *testing.T) {
	t.Parallel()
	plain, want := conn()
	plain.Info("C", "first")
	plain.Info("C", "second")
	held, got := conn()
	held.Hold()
	held.Info("C", "first")
	held.Info("C", "second")
	before := time.Now()
	if got.Len() > 0 {
		t.Errorf("written at once: %s", got)
	}
	held.Release()
	held.Info("C", "third")
	lines := strings.Split(strings.TrimSpace(got.String()), "\n")
	if len(lines) != 3 || after(lines[0]) != after(strings.Split(want.String(), "\n")[0]) || !strings.Contains(lines[1], "second") || !strings.Contains(lines[2], "third") {
		t.Errorf("lines:\n%s", got)
	}
	stamp, _, _ := strings.Cut(strings.TrimPrefix(lines[0], "time="), " ")
	if at, err := time.Parse(time.RFC3339, stamp); err != nil || at.After(before) {
		t.Errorf("the first line has not the time of its event: %s (%v)", lines[0], err)
	}
	if held.Drop() {
		t.Error("something was left to forget")
	}
}

// after is a line without its time.
func after(line string) string {
	_, rest, _ := strings.Cut(line, " ")
	return rest
}

func TestDroppedLinesAreForgottenAndTroubleNeverIs(t *testing.T) {
	t.Parallel()
	c, out := conn()
	c.Hold()
	c.Info("C", "good")
	c.Warn("C", "odd")
	c.Error("C", "bad")
	if !c.Drop() {
		t.Error("nothing was held")
	}
	c.Info("C", "later")
	if text := out.String(); strings.Contains(text, "good") || !strings.Contains(text, "[C] odd") || !strings.Contains(text, "[C] bad") || !strings.Contains(text, "[C] later") {
		t.Errorf("the log:\n%s", text)
	}
}

func TestWhatIsAuditedIsAlwaysWritten(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := &logging.Conn{Log: logging.New(&out, logging.Options{Format: "text", Level: "error"}), Ref: "r"}
	c.Hold()
	c.Audit("Support read", slog.Int64("user", 6))
	c.Drop()
	if text := out.String(); !strings.Contains(text, `level=INFO msg="[Audit] Support read" replica="" component=Audit ref=r`) || !strings.Contains(text, "user=6") {
		t.Errorf("the log: %s", text)
	}
}
