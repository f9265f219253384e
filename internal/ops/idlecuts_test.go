package app_test

import (
	"encoding/json"
	"testing"

	"github.com/roomspa/roomspa/internal/idlecuts"
)

func TestEndsOfSocketsAreReported(t *testing.T) {
	t.Parallel()
	r := newWorld(t).ready(t, "a")
	s := r.chat(t, customer)
	_ = s.conn.CloseNow()
	r.disconnected(t, s)
	status, _, body := get(t, "http://"+r.OpsAddr()+"/debug/closes")
	var report idlecuts.Report
	if err := json.Unmarshal(body, &report); err != nil || status != 200 || report.Cause != "" || report.Remembered != 0 {
		t.Errorf("/debug/closes answers %d %s, %v: a connection in use counts for nothing", status, body, err)
	}
}
