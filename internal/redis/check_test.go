package redis_test

import (
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// restricted returns the URL of a user that may do everything but what a rule takes away.
func restricted(t *testing.T, admin *goredis.Client, url, name string, rules ...string) string {
	t.Helper()
	args := []any{"ACL", "SETUSER", name, "reset", "on", ">geheim", "~*", "&*", "+@all"}
	for _, r := range rules {
		args = append(args, r)
	}
	if err := admin.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
	_, host, _ := strings.Cut(url, "@")
	return "redis://" + name + ":geheim@" + host
}

func TestTheCheckTriesEveryCommand(t *testing.T) {
	t.Parallel()
	url := world.StartRedis(t).URL()
	o, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	admin := goredis.NewClient(o)
	defer admin.Close()
	for i, rule := range []string{
		"-@scripting", "-eval", "-evalsha", "-set", "-get", "-getrange", "-mget", "-getdel", "-lpush", "-ltrim", "-lrange", "-expire", "-time", "-del",
		"resetkeys", "%R~*",
	} {
		rules := []string{rule}
		if rule == "%R~*" {
			rules = []string{"resetkeys", rule}
		}
		c := open(t, redis.Options{URL: restricted(t, admin, url, "user"+string(rune('a'+i)), rules...)})
		if err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, check := range []error{c.CheckWrite(t.Context()), c.CheckAccess(t.Context())} {
			if cause.Of(check) != "redis_permission_denied" || !cause.IsRefusal(check) {
				t.Errorf("%s: %v (%s)", rule, check, cause.Of(check))
			}
		}
	}
	for _, rule := range []string{"-client|setname", "-info", "-client", "-hello"} {
		c := open(t, redis.Options{URL: restricted(t, admin, url, "courtesy", rule), Replica: "a"})
		if err := c.CheckWrite(t.Context()); err != nil {
			t.Errorf("%s: %v", rule, err)
		}
	}
	named := open(t, redis.Options{URL: url, Replica: "a replica"})
	if err := named.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if list := admin.ClientList(t.Context()).Val(); !strings.Contains(list, " name=roomspa-a_replica ") {
		t.Errorf("CLIENT LIST: %s", list)
	}
}

func TestAClusterThatWasNotDeclaredIsFoundEveryTime(t *testing.T) {
	t.Parallel()
	s := world.RedisCluster(t)
	for _, n := range s.Nodes {
		o, err := goredis.ParseURL(n.URL())
		if err != nil {
			t.Fatal(err)
		}
		admin := goredis.NewClient(o)
		url := restricted(t, admin, n.URL(), "noinfo", "-info") // then only the commands can show it
		_ = admin.Close()
		for _, url := range []string{n.URL(), url} {
			c := open(t, redis.Options{URL: url, Timeout: world.Limit})
			if err := c.CheckAccess(t.Context()); cause.Of(err) != "redis_is_cluster" {
				t.Errorf("%s: %v (%s)", n.Addr(), err, cause.Of(err))
			}
		}
	}
	declared := open(t, s.Options)
	if err := declared.CheckWrite(t.Context()); err != nil {
		t.Error(err)
	}
	alone := open(t, redis.Options{URL: world.StartRedis(t).URL(), Mode: "cluster", Timeout: world.Limit})
	if err := alone.Ping(t.Context()); cause.Of(err) != "redis_not_cluster" {
		t.Errorf("no cluster: %v (%s)", err, cause.Of(err))
	}
	sentinel, _, _ := strings.Cut(strings.TrimPrefix(world.RedisSentinel(t).Options.URL, "redis://default:"+world.RedisPassword+"@"), "/")
	watcher := open(t, redis.Options{URL: "redis://" + sentinel, Timeout: world.Limit})
	if err := watcher.CheckAccess(t.Context()); cause.Of(err) != "redis_is_sentinel" {
		t.Errorf("a sentinel: %v (%s)", err, cause.Of(err))
	}
}
