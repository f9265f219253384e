package ops_test

import (
	"encoding/json"
	"testing"

	"github.com/roomspa/roomspa/internal/idlecuts"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestEndsOfSocketsAreReported(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a")
	s := r.Chat(t, world.Customer)
	_ = s.Conn.CloseNow()
	r.WaitDisconnected(t, s)
	status, _, body := world.Get(t, r.Ops("/debug/closes"))
	var report idlecuts.Report
	if err := json.Unmarshal(body, &report); err != nil || status != 200 || report.Cause != "" || report.Remembered != 0 {
		t.Errorf("/debug/closes answers %d %s, %v: a connection in use counts for nothing", status, body, err)
	}
}
