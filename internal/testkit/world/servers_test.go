package world_test

import (
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

func client(t *testing.T, url string) *goredis.Client {
	t.Helper()
	options, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := goredis.NewClient(options)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestRedisIsSharedAndPrefixesAreNot(t *testing.T) {
	t.Parallel()
	url, prefix := world.Redis(t)
	c := client(t, url)
	var other string
	t.Run("inner", func(t *testing.T) {
		var same string
		same, other = world.Redis(t)
		if same != url {
			t.Errorf("URL = %s, want the same server for all", same)
		}
		for _, name := range []string{prefix, other} {
			if err := c.Set(t.Context(), name+"key", "v", 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
	})
	if n, err := c.Exists(t.Context(), other+"key").Result(); err != nil || n != 0 {
		t.Errorf("%d keys of a test that has ended, %v", n, err)
	}
	if n, err := c.Exists(t.Context(), prefix+"key").Result(); err != nil || n != 1 {
		t.Errorf("%d keys of this test, %v; want its one", n, err)
	}
}

func TestOwnServersCanBeBrokenWithoutHarmToOthers(t *testing.T) {
	t.Parallel()
	sharedURL, _ := world.Redis(t)
	r := world.StartRedis(t, map[string]string{"maxclients": "77"})
	if got, err := client(t, r.URL()).ConfigGet(t.Context(), "maxclients").Result(); err != nil || got["maxclients"] != "77" {
		t.Errorf("maxclients = %v, %v", got, err)
	}
	p := world.StartPostgres(t)
	connect(t, p.URL("postgres"))
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.Pause(); err != nil { // cleanup stops it nevertheless
		t.Fatal(err)
	}
	if err := client(t, sharedURL).Ping(t.Context()).Err(); err != nil {
		t.Errorf("the shared server: %v", err)
	}
}
