package judge

import (
	"errors"
	"fmt"
	"io/fs"
)

// checkPages compares the pages of GET /chat/messages/ with the store: they must have each message
// of a room once, in order.
func (c *checker) checkPages() error {
	paged := map[roomKey]int64{} // number of messages
	wrong := map[roomKey]bool{}
	err := eachLine(c.dir, PagesFile, func(_ int, p *Page, _ []byte) error {
		room := roomKey{p.Customer, p.Therapist}
		paged[room]++
		c.verdict.Classic.Paged++
		m := c.conversation(room).messages[paged[room]]
		if wrong[room] || m != nil && m.number == p.Number && m.key.sender == p.Sender && m.text == p.Text {
			return nil
		}
		wrong[room] = true // the following ones differ as well
		c.add(Violation{
			Breach: PageDiffers, Customer: p.Customer, Therapist: p.Therapist, Seq: paged[room], Sender: p.Sender, Text: p.Text,
			Detail: fmt.Sprintf("the pages have message %d of user %d in its place", p.Number, p.Sender),
		})
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for room, conv := range c.conversations {
		if n := paged[room]; n < conv.last && !wrong[room] {
			c.add(Violation{Breach: PageDiffers, Customer: room.customer, Therapist: room.therapist, Seq: n + 1, Detail: fmt.Sprintf("the pages have only %d of %d messages", n, conv.last)})
		}
	}
	return err
}
