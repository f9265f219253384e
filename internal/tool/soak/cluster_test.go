package soak

import (
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/testkit/netfault"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/judge"
)

// A Redis Cluster breaks in its own ways while everybody talks. The judge says whether anybody lost
// anything.
func TestNothingIsLostInARedisCluster(t *testing.T) {
	for name, fault := range map[string]func(*testing.T, *world.RedisServers, []*netfault.Proxy){
		"slots move": func(t *testing.T, p *world.RedisServers, _ []*netfault.Proxy) {
			for range 5 {
				p.MoveSlot(t, "chat_1_2")
				p.MoveSlot(t, "control")
			}
		},
		"a replica takes over on request": func(t *testing.T, p *world.RedisServers, _ []*netfault.Proxy) {
			p.Failover(t, "chat_1_2")
			p.Failover(t, "chat_1_2")
		},
		"a master is killed": func(t *testing.T, p *world.RedisServers, _ []*netfault.Proxy) {
			if err := p.KillMaster(t, "chat_1_2").Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		"subscriptions are open and deaf": func(t *testing.T, _ *world.RedisServers, proxies []*netfault.Proxy) {
			for _, p := range proxies {
				p.DropPublished(1)
			}
			time.AfterFunc(6*time.Second, func() {
				for _, p := range proxies {
					p.Heal()
				}
			})
			world.Eventually(t, "published messages are dropped", func() (bool, any) {
				for _, p := range proxies {
					if p.Counts().Dropped > 0 {
						return true, nil
					}
				}
				return false, nil
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := world.NewWith(t, oneRoom, 0)
			p := world.RedisReplicatedCluster(t)
			o := p.Options
			var proxies []*netfault.Proxy
			if name == "subscriptions are open and deaf" {
				o, proxies = p.Front(t, o)
			}
			s := newSceneIn(t, w, 2, 0, "ROOMSPA_REDIS_URL="+o.URL, "ROOMSPA_REDIS_MODE=cluster")
			s.spread(t)
			s.talk(t)
			fault(t, p, proxies)
			s.runner.faults = append(s.runner.faults, judge.Fault{Kind: "redis-cluster", Ended: time.Now().UnixMicro()})
			s.acknowledge(t, 25)
			if v := s.verdict(t); v.Messages < 25 {
				t.Errorf("only %d messages: that shows nothing", v.Messages)
			}
		})
	}
}
