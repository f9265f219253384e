package redis_test

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// setUser gives a user of every node the rules, and returns options that use it.
func setUser(t *testing.T, s *world.RedisServers, name string, rules ...any) redis.Options {
	t.Helper()
	s.Each(t, func(ctx context.Context, node *goredis.Client) {
		if err := node.Do(ctx, append([]any{"ACL", "SETUSER", name}, rules...)...).Err(); err != nil {
			t.Fatal(err)
		}
	})
	o := s.Options
	o.URL = strings.Replace(o.URL, "default:"+world.RedisPassword, name+":geheim", 1)
	return o
}

// documentedRules are those of docs/operating.md, for the prefix of the tests.
func documentedRules(t *testing.T) (rules []any) {
	t.Helper()
	text, err := os.ReadFile("../../docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^ACL SETUSER roomspa on >password (.*)$`).FindSubmatch(text)
	also := regexp.MustCompile("in mode `cluster` add `([^`]*)`").FindSubmatch(text)
	if line == nil || also == nil {
		t.Fatal("the line of the ACL is not in the document")
	}
	for word := range strings.FieldsSeq(string(line[1]) + " " + string(also[1])) {
		rules = append(rules, strings.ReplaceAll(word, "roomspa:*", "test:*"))
	}
	return rules
}

func TestTheDocumentedACLIsEnoughInACluster(t *testing.T) {
	t.Parallel()
	s := world.RedisCluster(t)
	rules := append([]any{"reset", "on", ">geheim"}, documentedRules(t)...)
	c := open(t, setUser(t, s, "documented", rules...))
	if err := c.CanShard(t.Context()); err != nil {
		t.Error(err)
	}
	if detail, err := c.CheckCommands(t.Context()); err != nil || !strings.HasSuffix(detail, ", sharded Pub/Sub") {
		t.Errorf("%q, %v", detail, err)
	}
	s.Each(t, func(ctx context.Context, node *goredis.Client) {
		denied, err := node.ACLLog(ctx, 10).Result()
		for _, d := range denied {
			if d.Username == "documented" && !strings.HasPrefix(d.Object, "client|") {
				t.Errorf("the ACL denied %s (%v)", d.Object, err)
			}
		}
	})
	for taken, want := range map[string]string{
		"-spublish":     "ACL SETUSER taken +spublish",
		"-ssubscribe":   "ACL SETUSER taken +ssubscribe +sunsubscribe",
		"-sunsubscribe": "ACL SETUSER taken +sunsubscribe",
		"-publish":      "ACL SETUSER taken +publish",
	} {
		c := open(t, setUser(t, s, "taken", append(rules, taken)...))
		if _, err := c.CheckCommands(t.Context()); err == nil || !strings.Contains(err.Error(), "lacks: "+want+" (") {
			t.Errorf("%s: %v", taken, err)
		}
		if err := c.CanShard(t.Context()); taken != "-publish" && (err == nil || !strings.Contains(err.Error(), "to allow it: "+want)) {
			t.Errorf("%s: %v", taken, err)
		}
	}
}

func TestShardedPubSubIsForClusters(t *testing.T) {
	t.Parallel()
	c, _, _ := shared(t)
	if err := c.CanShard(t.Context()); err == nil {
		t.Error("a single server")
	}
	if n := c.Shards(); n != 1 {
		t.Errorf("%d shards", n)
	}
}
