package handshake_test

import (
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// A user without an address has the phone number in its place, and no address is made up.
func TestAUserWithoutAnAddressIsLoggedByThePhoneNumber(t *testing.T) {
	t.Parallel()
	w := world.New(t)
	w.Exec(t, "UPDATE roomspa.users SET email = NULL, phone = '+4366012345' WHERE id = $1", world.Customer)
	plain, masked := w.Ready(t, "a"), w.Ready(t, "b", func(o *app.Options) { o.LogMask = true })
	plain.Chat(t, world.Customer)
	masked.Chat(t, world.Customer)
	for _, line := range []string{
		"User found: 1 - +4366012345 (role: customer)", "User authenticated: 1 (+4366012345)", "User authenticated: True, User: +4366012345",
	} {
		if log := plain.Log.String(); !strings.Contains(log, line) {
			t.Errorf("%s is not in\n%s", line, log)
		}
	}
	if log := masked.Log.String(); strings.Contains(log, "4366012345") || !strings.Contains(log, "User found: 1 - +***") {
		t.Errorf("the log that masks:\n%s", log)
	}
}
