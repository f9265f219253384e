package frame_test

import (
	"errors"
	"fmt"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// A frame that cannot be used keeps its client_message_id, so that the client learns which message failed.
func ExampleDecode() {
	f, err := frame.Decode([]byte(`{"type": "chat_message", "message": 7, "client_message_id": "a"}`))
	invalid, ok := errors.AsType[*room.Invalid](err)
	fmt.Println(f.ClientMessageID, ok, invalid.Code)

	_, err = frame.Decode([]byte("{\"message\": \"\xff\"}"))
	end, ok := errors.AsType[*frame.Close](err)
	fmt.Println(end.Code, ok)
	// Output:
	// a true bad_frame
	// 1007 true
}

// A Close is an error, so that any function can say how a socket ends.
func ExampleClose() {
	step := func() error { return &frame.Close{Code: 4003, Reason: "not_your_room"} }
	end, _ := errors.AsType[*frame.Close](fmt.Errorf("authorize: %w", step()))
	fmt.Println(end.Code, end.Text("0123456789abcdef"))
	// Output:
	// 4003 not_your_room ref=0123456789abcdef
}
