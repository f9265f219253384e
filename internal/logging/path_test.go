package logging_test

import (
	"strings"
	"testing"

	"github.com/roomspa/roomspa/internal/logging"
)

func TestAPathIsShownWithoutWhatMayBeASecret(t *testing.T) {
	t.Parallel()
	token := "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ1c2VyX2lkIjoxfQ.c2lnbmF0dXJl"
	for raw, want := range map[string]string{
		"":                                   "",
		"/":                                  "/",
		"/ws/chat/1/2/":                      "/ws/chat/1/2/",
		"//ws/./chat//2/":                    "//ws/./chat//2/",
		"/ws/chat/+1/%32/":                   "/ws/chat/+1/%32/",
		"/ws/chat/9007199254740992/2/":       "/ws/chat/9007199254740992/2/",
		"/ws/chat/1/2/" + token:              "/ws/chat/1/2/<68 bytes>",
		"/ws/chat/" + token + "/2/":          "/ws/chat/<68 bytes>/2/",
		"/ws/chat/1/2/%3Ftoken=" + token:     "/ws/chat/1/2/…",
		"/ws/chat/1/2%3ftoken%3d" + token:    "/ws/chat/1/2…",
		"/ws/chat/1/2%253Ftoken=" + token:    "/ws/chat/1/2…",
		"/ws/chat/1/2/token=" + token:        "/ws/chat/1/2/token…",
		"/ws/chat/1/2;password=hunter2":      "/ws/chat/1/2…",
		"/ws/chat/1/2/MADEUPMADEUPMADEUP00A": "/ws/chat/1/2/<21 bytes>",
		strings.Repeat("/0123456789", 20):    strings.Repeat("/0123456789", 10) + "/…",
	} {
		if got := logging.Path(raw); got != want {
			t.Errorf("%s is shown as %s, want %s", raw, got, want)
		}
	}
}
