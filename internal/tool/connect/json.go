package connect

import (
	"encoding/json"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// An entry is one line of the output of --json.
type entry struct {
	At     string          `json:"at"`
	Event  string          `json:"event"`
	Ref    string          `json:"ref,omitempty"`
	Since  *int64          `json:"since,omitempty"`
	Frame  json.RawMessage `json:"frame,omitempty"`
	Text   string          `json:"text,omitempty"`   // of a frame that is not JSON, or of a dropped message
	Binary []byte          `json:"binary,omitempty"` // base64
	Code   int             `json:"code,omitempty"`
	Status int             `json:"status,omitempty"`
	Reason string          `json:"reason,omitempty"`
	Error  string          `json:"error,omitempty"`
	Means  string          `json:"means,omitempty"`
	Next   string          `json:"next,omitempty"`
	// DelayMS is present if the client tries again.
	DelayMS *int64 `json:"delay_ms,omitempty"`
}

func (v *view) showJSON(e client.Event) {
	line := entry{
		At: time.Now().UTC().Format(frame.TimeLayout), Event: e.Kind.String(), Ref: e.Ref, Since: e.Since,
		Text: e.Message, Next: e.Next,
	}
	switch f := e.Frame; {
	case f == nil:
	case f.Binary:
		line.Binary = f.Raw
	case json.Valid(f.Raw):
		line.Frame = f.Raw
	default:
		line.Text = string(f.Raw)
	}
	if e.Err != nil {
		line.Error = e.Err.Error()
	}
	switch err := e.Err.(type) { //nolint:errorlint // the session does not wrap its errors
	case *client.CloseError:
		line.Code, line.Reason, line.Means = err.Code, err.Reason, client.Means(err.Code, err.Reason)
	case *client.StatusError:
		line.Status, line.Reason = err.Status, err.Problem.Code
	}
	if e.Kind == client.Closed {
		delay := e.Delay.Milliseconds()
		line.DelayMS = &delay
	}
	v.writeLine(string(frame.Encode(line)))
}
