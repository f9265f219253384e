package browser_test

import (
	"fmt"
	"syscall"
	"testing"
)

// These tests break what all share, so they run before the parallel ones.

func TestAReplicaIsKilledWhileAUserTypes(t *testing.T) {
	p := room(t, 9)
	for n, replica := range world.report.Replicas {
		text := fmt.Sprintf("message %d", n)
		p.fill(sideA+".composer input", text)
		if err := syscall.Kill(replica.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		p.say(sideA, text)
		p.wait(sideB+lastMessage+".text", text)
		p.wait(sideA+lastMessage+".tick", "delivered")
		p.wait(sideA+".state", "live")
		p.wait(sideB+".state", "live")
	}
	if n := p.count(sideB + ".message"); n != len(world.report.Replicas) {
		t.Errorf("the other side has %d messages, want %d", n, len(world.report.Replicas))
	}
	p.wait("#log", "Closed with 1006")
	p.wait("#timelines", "resumed after message")
}

func TestRedisIsAway(t *testing.T) {
	p := room(t, 11)
	fleet := open(t, world.report.Replicas[0].OpsURL+"/console/", lostServer, refused)
	fleet.wait("#about", ": ready")
	p.say(sideA, "before")
	p.wait(sideB+lastMessage+".text", "before")

	pid := redisProcess(t)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	p.say(sideA, "while Redis is away")
	p.wait(sideA+lastMessage+".tick", "stored")
	fleet.wait("#about", "not ready")
	fleet.wait("#health", "fails since")
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	p.wait(sideB+lastMessage+".text", "while Redis is away")
	fleet.wait("#about", ": ready")
}
