package redis

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/roomspa/roomspa/internal/room"
)

// CheckCommands runs every command that a replica uses, each by itself, on keys and a channel of
// its own that expire after a second, in every slot that is used. The error names all that the
// ACL lacks, as one ACL SETUSER command. Errors wrap [room.ErrUnavailable].
func (c *Client) CheckCommands(ctx context.Context) (detail string, err error) {
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	r, err := c.ring("SET")
	if err != nil {
		return "", err
	}
	base, tail := c.Base(&r.Deployment), "check:"+c.replica
	key, channel := c.name(&r.Deployment, "check", ":"+c.replica), c.Name(&r.Deployment, "check")
	cmds, _ := c.checks.Pipelined(ctx, func(p goredis.Pipeliner) error { // each command has its own error
		for tag := range tags {
			p.Set(ctx, base+"{"+strconv.Itoa(tag)+"}:"+tail, "", checkLife)
		}
		tryCommands(ctx, p, key)
		p.Time(ctx)
		p.Del(ctx, key+":none")
		p.Publish(ctx, channel, "")
		if c.isCluster() {
			p.SPublish(ctx, channel, "")
		}
		return nil
	})
	var lacks lacking
	tried := map[string]bool{"SUBSCRIBE": true}
	pubsub := ""
	for _, cmd := range cmds {
		if cmd.Name() == "spublish" && isUnknownCommand(cmd.Err()) {
			pubsub = ", plain Pub/Sub, since a node is older than Redis 7"
			continue
		}
		tried[strings.ToUpper(cmd.Name())] = true
		if err := cmd.Err(); err != nil && !errors.Is(err, goredis.Nil) && !lacks.add(err, cmd.Name()) {
			return "", c.unavailable(strings.ToUpper(cmd.Name()), err)
		}
	}
	if err := c.trySubscribe(ctx, channel, false); err != nil && !lacks.add(err, "subscribe") {
		return "", c.unavailable("SUBSCRIBE", err)
	}
	if c.isCluster() && pubsub == "" {
		pubsub = ", sharded Pub/Sub"
		tried["SSUBSCRIBE"], tried["SUNSUBSCRIBE"] = true, true
		if err := c.trySubscribe(ctx, channel, true); err != nil && !lacks.add(err, "ssubscribe") {
			return "", c.unavailable("SSUBSCRIBE", err)
		}
	}
	if line := lacks.line(c.user(), c.prefix); line != "" {
		reason := &explained{"the ACL of Redis lacks: " + line + " (" + lacks.first.Error() + ")", classify(lacks.first), lacks.first}
		return "", &failure{fmt.Errorf("%w: %w", room.ErrUnavailable, reason), reason}
	}
	return fmt.Sprintf("all %d commands on %d slots", len(tried), tags) + pubsub, nil
}

// trySubscribe subscribes to a channel on a connection of its own, and ends the subscription.
func (c *Client) trySubscribe(ctx context.Context, channel string, sharded bool) error {
	s, err := c.Subscribe(ctx, channel, sharded)
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err = s.Receive(c.timeout); err != nil {
		return err
	}
	if err = s.Unsubscribe(channel); err != nil {
		return err
	}
	_, err = s.Receive(c.timeout)
	return err
}

// user returns the name of the user in ACLs.
func (c *Client) user() string {
	if name := c.target.Load().username; name != "" {
		return name
	}
	return "default"
}

// lacking collects what an ACL denies.
type lacking struct {
	commands       []string
	keys, channels bool
	first          error
}

// deniedCommand finds the name of a command in the answer of Redis 7, of a script too.
var deniedCommand = regexp.MustCompile(`'([a-z|]+)' command`)

// add adds what an error says. It returns false if the ACL is not the reason.
func (l *lacking) add(err error, command string) bool {
	if word := classify(err); word != causePermission && word != causeSubscribe {
		return false
	}
	text := err.Error()
	switch found := deniedCommand.FindStringSubmatch(text); {
	case strings.Contains(text, "keys used") || strings.Contains(text, "access a key"):
		l.keys = true
	case strings.Contains(text, "channels used") || strings.Contains(text, "access a channel"):
		l.channels = true
	case found != nil:
		l.addCommand(found[1])
	case command != "":
		l.addCommand(command)
	}
	if l.first == nil {
		l.first = err
	}
	return true
}

func (l *lacking) addCommand(name string) {
	if name = strings.ToLower(name); !slices.Contains(l.commands, name) {
		l.commands = append(l.commands, name)
	}
}

// line returns the command that gives what is lacking, or "".
func (l *lacking) line(user, prefix string) string {
	if len(l.commands) == 0 && !l.keys && !l.channels {
		return ""
	}
	words := []string{"ACL SETUSER", user}
	for _, name := range l.commands {
		words = append(words, "+"+name)
	}
	for _, name := range []string{"subscribe", "ssubscribe"} {
		if also := strings.Replace(name, "sub", "unsub", 1); slices.Contains(l.commands, name) && !slices.Contains(l.commands, also) {
			words = append(words, "+"+also)
		}
	}
	if l.keys {
		words = append(words, "~"+prefix+"*")
	}
	if l.channels {
		words = append(words, "&"+prefix+"*")
	}
	return strings.Join(words, " ")
}

// CheckSettings looks at settings of Redis that work today and may fail tomorrow. It returns what
// it has read, and warnings. An ACL may forbid to read them.
func (c *Client) CheckSettings(ctx context.Context) (detail string, warnings []string, err error) {
	ctx, cancel := c.withTimeout(ctx)
	defer cancel()
	info := map[string]string{}
	for _, section := range []string{"memory", "clients", "persistence", "replication", "server", "stats", "keyspace"} { // Redis 6 takes one
		text, err := c.checks.Info(ctx, section).Result()
		switch word := classify(err); {
		case word == causePermission:
			return "an ACL denies INFO, so settings are not checked", nil, nil
		case err != nil:
			return "", nil, c.unavailable("INFO", err)
		}
		for line := range strings.Lines(text) {
			if name, value, found := strings.Cut(strings.TrimSpace(line), ":"); found {
				info[name] = value
			}
		}
	}
	number := func(name string) int { n, _ := strconv.Atoi(info[name]); return n }
	policy, limit, used := info["maxmemory_policy"], number("maxmemory"), number("used_memory")
	clients, most := number("connected_clients"), number("maxclients")
	detail = fmt.Sprintf("mode %s, role %s, maxmemory %d MB (%s), %d of %d clients", info["redis_mode"], info["role"], limit>>20, policy, clients, most)
	if strings.HasPrefix(policy, "allkeys-") || policy == "volatile-random" || policy == "volatile-lru" || policy == "volatile-lfu" {
		warnings = append(warnings, "maxmemory-policy is "+policy+": when memory is full, tickets, the counts of sign-ins and presence are lost before their time; give roomspa a Redis of its own with noeviction. In a Redis that others use too, no policy protects its keys")
	}
	if n := number("evicted_keys"); n > 0 && limit > 0 {
		warnings = append(warnings, c.evicting(ctx, n, info))
	}
	if limit > 0 && used > limit/10*9 {
		warnings = append(warnings, fmt.Sprintf("%d of %d MB of maxmemory are in use", used>>20, limit>>20))
	}
	if most > 0 && clients > most/10*9 {
		warnings = append(warnings, fmt.Sprintf("%d of %d clients are connected (maxclients)", clients, most))
	}
	if info["rdb_last_bgsave_status"] == "err" || info["aof_last_write_status"] == "err" {
		warnings = append(warnings, "the last save to disk has failed: Redis refuses writes unless stop-writes-on-bgsave-error is no")
	}
	return detail, warnings, nil
}

// sampledKeys bounds the keys of Redis that are looked at to see whose they are.
const sampledKeys = 1000

// evicting returns what is to be done about a server that has evicted keys.
func (c *Client) evicting(ctx context.Context, evicted int, info map[string]string) string {
	text := fmt.Sprintf("redis_evicting: Redis has evicted %d keys", evicted)
	if foreign, all := c.foreignKeys(ctx, info); foreign > 0 {
		text += fmt.Sprintf("; about %d of %d keys are not roomspa's", foreign, all)
	}
	return text + ". Last positions, tickets, counts of sign-ins, presence and stories vanish early. Give roomspa a Redis of its own, or more maxmemory"
}

// foreignKeys estimates from a part of the keys how many lack the prefix. It returns 0 if the
// server does not tell, and in a cluster.
func (c *Client) foreignKeys(ctx context.Context, info map[string]string) (foreign, all int) {
	for db, text := range info {
		if strings.HasPrefix(db, "db") {
			n, _, _ := strings.Cut(strings.TrimPrefix(text, "keys="), ",")
			keys, _ := strconv.Atoi(n)
			all += keys
		}
	}
	if c.isCluster() {
		return 0, all
	}
	keys, _, err := c.checks.Scan(ctx, 0, "", sampledKeys).Result()
	if err != nil || len(keys) == 0 {
		return 0, all
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, c.prefix) {
			foreign++
		}
	}
	return foreign * max(all, len(keys)) / len(keys), max(all, len(keys))
}
