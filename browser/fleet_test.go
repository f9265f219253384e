package browser_test

import (
	"testing"

	"github.com/chromedp/chromedp/kb"
)

func TestTheFleetAndTheStoryOfARefusal(t *testing.T) {
	t.Parallel()
	client := room(t, 13)
	client.fill("[name=therapist]", "16"+kb.Enter) // of another room
	client.wait(sideB+".state", "4003")
	ref := eval[string](client, `document.querySelector("#side-B .state").textContent.match(/Reference (\w+)/)?.[1] ?? ""`)
	if ref == "" {
		t.Fatalf("no reference in %q", client.text(sideB+".state"))
	}

	p := open(t, world.report.Replicas[0].OpsURL+"/console/", refused)
	p.wait("#about", "Replica replica-1")
	p.wait("#health", "postgres")
	p.wait("#failures", "not_your_room")
	p.wait("#why", "need the token of the replica")
	p.fill("#token [name=token]", "another token"+kb.Enter)
	p.wait("#why", "not accepted")
	p.fill("#token [name=token]", opsToken+kb.Enter)
	eventually(t, "the story is told", func() (bool, any) { // it may have to reach Redis first
		p.fill("#ask [name=ref]", ref+kb.Enter)
		seen := p.text("#story")
		return seen != "", seen
	})
	p.wait("#story", "Refused with 4003 not_your_room at the step authorized")
	p.wait("#story", "What to do:")
	p.wait("#closes", "The client closed the connection.")
	p.wait("#replicas", "replica-2")
	p.wait("#connections", "customer 13")
	p.fill("#filter [name=user]", "14"+kb.Enter)
	p.wait("#connections", "0 sockets")
	p.size(360, 740, true)
	p.wide()
	p.labels()
}
