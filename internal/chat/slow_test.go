package chat_test

import (
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestAStalledChatReaderIsCutAndResumesWhileTheOthersChatOn(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a", world.NoRateLimit, func(o *app.Options) { o.WriteTimeout = time.Second })
	from, other, slow := r.Chat(t, world.Customer), r.Chat(t, world.Therapist), r.StallAs(t, world.Therapist, "/ws/chat/1/2/")
	sent := 0
	world.Eventually(t, "the server gives it up", func() (bool, any) {
		text := strings.Repeat("x", 1000)
		from.Say(t, text, strconv.Itoa(sent))
		from.Find(t, "ack")
		sent++
		lines := r.Log.About(slow.Ref)
		return strings.Contains(lines, "WebSocket disconnected"), sent
	})
	other.ExpectMessages(t, 0, sent)
	highest := int64(0)
	for {
		g, err := slow.Read(t)
		if err != nil {
			break
		}
		if g.Type == "chat_message" {
			if g.Seq != highest+1 {
				t.Fatalf("got seq %d after %d", g.Seq, highest)
			}
			highest = g.Seq
		}
	}
	if highest >= int64(sent) {
		t.Fatalf("it got all %d messages: it was never stalled", sent)
	}
	back := r.ConnectAs(t, world.Therapist, "/ws/chat/1/2/", url.Values{"since": {strconv.FormatInt(highest, 10)}})
	back.Expect(t, "connected")
	back.ExpectMessages(t, highest, sent-int(highest))
	back.Expect(t, "resumed")
}
