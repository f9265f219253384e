package event_test

import (
	"fmt"
	"time"

	"github.com/roomspa/roomspa/internal/event"
)

// An event is sealed for one name in Redis. Under another name it is worth nothing.
func ExampleRing() {
	process := event.NewProcess() // each replica has its own
	process.Use(event.Deployment{ID: "00112233445566aa", Timeline: 1, Keys: []event.Key{{Secret: [32]byte{1}}}})
	ring := process.Ring()
	const group = "roomspa:00112233445566aa:{7}:chat_1_2"

	sealed := ring.Seal(nil, group, time.Now(), event.Typing{User: 7, Active: true})
	e, err := ring.Open(group, append([]byte(nil), sealed...)) // Open decrypts in place
	typing, _ := event.ReadTyping(e.Body)
	fmt.Println(e.Kind, typing.User, typing.Active, err)

	_, err = ring.Open("roomspa:00112233445566aa:{7}:chat_1_3", sealed)
	fmt.Println(err)
	// Output:
	// typing 7 true <nil>
	// the event cannot be opened
}
