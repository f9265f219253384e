package redis_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/redis"
)

func TestNoErrorShowsThePassword(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{
		"a slash in it":         "redis://user:hunter/two@host:6379/0",
		"a question mark":       "redis://user:hunter?two@host:6379/0",
		"a hash":                "redis://user:hunter#two@host:6379/0",
		"an at sign":            "redis://user:hunter@two@host:notaport/0",
		"a lone percent":        "redis://user:hunter%two@host:6379/0",
		"a space":               "redis://user:hunter two@host:6379/x",
		"a comma":               "redis://user:hunter,two@:6379",
		"a control character":   "redis://user:hunter\ntwo@host:6379",
		"no scheme":             "user:hunter:two@host:6379",
		"the wrong scheme":      "postgres://user:hunter@host:6379",
		"a scheme of it":        "hunter://host",
		"a bad port":            "redis://user:hunter@host:hunter/0",
		"a bad database":        "redis://user:hunter@host/hunter",
		"a strange option":      "redis://user:hunter@host/?hunter=1",
		"a bad option":          "redis://user:hunter@host/?dial_timeout=hunter",
		"a sentinel's password": "redis://user:x@host:p/?sentinel_password=hunter",
		"a bad query":           "redis://user:x@host/?sentinel_password=hunter%zz",
		"brackets":              "redis://user:hunter@[::1/0",
		"nothing but it":        "redis://:hunter@",
		"empty":                 "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := redis.Open(redis.Options{URL: url}, nil)
			if err == nil {
				t.Fatalf("%q was taken", url)
			}
			if strings.Contains(err.Error(), "hunter") || strings.Contains(err.Error(), "two") {
				t.Errorf("the error for %q shows it: %v", url, err)
			}
		})
	}
}

func TestWhatIsWrongWithARedisURLIsNamed(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"redis://:hunter@host\n":      "a line break (U+000A) after its end: remove that",
		`"redis://:hunter@host"`:      "quotes (U+0022) around it",
		"\ufeffredis://:hunter@host":  "a BOM (U+FEFF) before it",
		"redis-sentinel://host":       "the scheme must be redis:// (rediss:// for TLS), not redis-sentinel:",
		"redis+tls://:hunter@host":    "not redis+tls:",
		"valkey://:hunter@host":       "not valkey:",
		"postgres://user:hunter@host": "not postgres:",
		"https://hunter@host:6379":    "not https:",
	} {
		if _, err := redis.Open(redis.Options{URL: url}, nil); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		o    redis.Options
		want string // the address, or a part of the error
	}{
		"a host":                    {redis.Options{URL: "redis://u:p@host"}, "host:6379"},
		"a port and a database":     {redis.Options{URL: "redis://:p@host:7000/3"}, "host:7000"},
		"IPv6":                      {redis.Options{URL: "redis://[::1]:7000"}, "[::1]:7000"},
		"IPv6 without a port":       {redis.Options{URL: "rediss://[::1]"}, "[::1]:6379"},
		"sentinels":                 {redis.Options{URL: "redis://u:p@a:1,b:2,c/0?sentinel_password=x", Mode: "sentinel", MasterName: "m"}, "sentinel a:1,b:2,c:6379 master m"},
		"a cluster":                 {redis.Options{URL: "rediss://u:p@a:1,b:2", Mode: "cluster"}, "cluster a:1,b:2"},
		"an encoded password":       {redis.Options{URL: "redis://u:%2F%40%3F%23%25@host"}, "host:6379"},
		"hosts without a mode":      {redis.Options{URL: "redis://a:1,b:2"}, "several hosts"},
		"a sentinel without a name": {redis.Options{URL: "redis://a:1", Mode: "sentinel"}, "name of the master"},
		"a database in a cluster":   {redis.Options{URL: "redis://a:1/2", Mode: "cluster"}, "no database but 0"},
		"an unknown mode":           {redis.Options{URL: "redis://a:1", Mode: "clustre"}, "clustre"},
		"a prefix with braces":      {redis.Options{URL: "redis://a:1", Prefix: "{x}:"}, "prefix"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ""
			client, err := redis.Open(c.o, prometheus.NewRegistry())
			if err != nil {
				got = err.Error()
			} else {
				got = client.Address()
				if err := client.Close(); err != nil {
					t.Error(err)
				}
			}
			if !strings.Contains(got, c.want) || err == nil && got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
