package redis_test

import (
	"errors"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/redis"
	"github.com/roomspa/roomspa/internal/testkit/world"
)

// TestEveryCauseHasItsWord breaks a real Redis in each way, and looks for the word in
// what a use of it returns.
func TestEveryCauseHasItsWord(t *testing.T) {
	t.Parallel()
	type use func(*redis.Client) error
	ping := func(c *redis.Client) error { return c.Ping(t.Context()) }
	write := func(c *redis.Client) error { return c.CheckWrite(t.Context()) }
	subscribe := func(c *redis.Client) error {
		s, err := c.Subscribe(t.Context(), "test:x", false)
		if err == nil {
			defer s.Close()
			_, err = s.Receive(world.Limit)
		}
		return err
	}
	for word, c := range map[string]struct {
		settings map[string]string
		prepare  func(*testing.T, *goredis.Client)
		user     string
		use      use
	}{
		"redis_wrong_password":      {user: "default:wrong", use: subscribe},
		"redis_subscribe_forbidden": {prepare: acl("-subscribe"), user: "replica:geheim", use: subscribe},
		"redis_permission_denied":   {prepare: acl("-set"), user: "replica:geheim", use: write},
		"redis_max_clients": {prepare: func(t *testing.T, r *goredis.Client) {
			t.Helper()
			if err := r.ConfigSet(t.Context(), "maxclients", "1").Err(); err != nil {
				t.Fatal(err)
			}
		}, use: ping},
		"redis_read_only": {prepare: func(t *testing.T, r *goredis.Client) {
			t.Helper()
			if err := r.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err(); err != nil {
				t.Fatal(err)
			}
		}, use: write},
		"redis_out_of_memory": {settings: map[string]string{"maxmemory": "100kb", "maxmemory-policy": "noeviction"}, use: write},
	} {
		t.Run(word, func(t *testing.T) {
			t.Parallel()
			url := world.StartRedis(t, c.settings).URL()
			o, err := goredis.ParseURL(url)
			if err != nil {
				t.Fatal(err)
			}
			o.DialTimeout, o.ReadTimeout = world.Limit, world.Limit
			beside := goredis.NewClient(o)
			defer beside.Close()
			if err := beside.Ping(t.Context()).Err(); err != nil { // it keeps its connection
				t.Fatal(err)
			}
			if c.prepare != nil {
				c.prepare(t, beside)
			}
			if c.user != "" {
				url = strings.Replace(url, "redis://"+o.Username+":"+o.Password, "redis://"+c.user, 1)
			}
			client := open(t, redis.Options{URL: url})
			world.Eventually(t, "the cause is "+word, func() (bool, any) {
				err := c.use(client)
				return cause.Of(err) == word, err
			})
			if cause.Cure(word) == "" {
				t.Error("there is no cure for it")
			}
		})
	}
}

func acl(rule string) func(*testing.T, *goredis.Client) {
	return func(t *testing.T, r *goredis.Client) {
		t.Helper()
		if err := r.Do(t.Context(), "ACL", "SETUSER", "replica", "on", ">geheim", "~*", "&*", "+@all", rule).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestARedisThatIsStalledOrGone(t *testing.T) {
	t.Parallel()
	server := world.StartRedis(t)
	c := open(t, redis.Options{URL: server.URL()})
	world.Eventually(t, "Redis answers", func() (bool, any) {
		err := c.Ping(t.Context())
		return err == nil, err
	})
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := c.Ping(t.Context()); cause.Of(err) != "redis_stalled" {
		t.Errorf("one that is stalled: %v (%s)", err, cause.Of(err))
	}
	if err := errors.Join(server.Resume(), server.Kill()); err != nil {
		t.Fatal(err)
	}
	world.Eventually(t, "the connection is refused", func() (bool, any) {
		err := c.Ping(t.Context())
		return cause.Of(err) == "redis_refused", err
	})
	nowhere := open(t, redis.Options{URL: "redis://nowhere.invalid:6379"})
	if err := nowhere.Ping(t.Context()); cause.Of(err) != "redis_name_not_found" {
		t.Errorf("one that has no address: %v (%s)", err, cause.Of(err))
	}
}
