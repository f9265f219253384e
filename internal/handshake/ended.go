package handshake

import (
	"strconv"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/failure"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/session"
	"github.com/roomspa/roomspa/internal/story"
)

// KeepEnd records how an accepted socket ended as a story. It skips ordinary ends, which
// are only logged. An end that the server is at fault for is a failure.
func KeepEnd(stories Stories, failures *failure.Log, e *session.End) {
	if isOrdinary(e) {
		return
	}
	if e.Code == frame.CodeInternal {
		failures.Failed(failure.Handshake, e.Reason, e.Cause)
	}
	s := &story.Story{
		Version: story.Version, Ref: e.Ref, Began: e.Opened, Endpoint: e.Endpoint, Path: pathOf(e), Remote: e.Remote, User: e.User,
		Cause: cause.Of(e.Cause),
		End: &story.End{
			At: e.At, By: e.By, Code: e.Code, Reason: e.Reason, Age: e.Age(), Idle: e.Idle, Pong: e.Pong,
			Received: e.Received, Sent: e.Sent, ReceivedBytes: e.ReceivedBytes, SentBytes: e.SentBytes, Behind: e.Behind, Cut: e.Cut,
		},
	}
	if e.Cause != nil {
		s.End.Detail = story.Clip(e.Cause.Error())
	}
	stories.RecordFailed(s)
}

// pathOf returns the path of a socket, as in /ws/chat/1/2/.
func pathOf(e *session.End) string {
	path := []byte("/ws/" + e.Endpoint + "/")
	for _, id := range e.IDs {
		path = append(strconv.AppendInt(path, id, 10), '/')
	}
	return string(path)
}

// isOrdinary reports whether one side wanted the end, or the story of the handshake
// tells it already.
func isOrdinary(e *session.End) bool {
	switch e.Code {
	case frame.CodeNormal, frame.CodeGoingAway, frame.CodeRestart:
		return true
	}
	return e.Refused || e.By == "client" || e.Reason == "closed_as_asked"
}
