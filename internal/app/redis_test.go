package app_test

import (
	"net/url"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// redisClient is a connection beside the replicas'.
func redisClient(t testing.TB, address string) *goredis.Client {
	t.Helper()
	o, err := goredis.ParseURL(address)
	if err != nil {
		t.Fatal(err)
	}
	c := goredis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func hostOf(t testing.TB, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func containsFold(s, part string) bool {
	return strings.Contains(strings.ToLower(s), strings.ToLower(part))
}
