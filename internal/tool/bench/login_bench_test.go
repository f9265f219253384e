package bench_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/tool/bench"
)

const (
	attacked    = 20 * time.Second
	attackRate  = 200 // wrong sign-ins a second
	goodAccount = 1   // is attacked too
	goodWord    = "a password of the benchmark"
)

// BenchmarkLoginAttack measures what 200 wrong sign-ins a second cost the 2,000
// sockets that chat on the same replica: their 99th percentile beside the attack and
// without it, and the memory of the replica and its password processes. Meanwhile the
// owner of an account that is attacked signs in from an address of her own.
func BenchmarkLoginAttack(b *testing.B) {
	for name, addresses := range map[string]int{"one-address": 1, "many-addresses": 5000} {
		b.Run(name, func(b *testing.B) {
			replica := lone(b, "--trusted-proxies=127.0.0.0/8")
			for b.Loop() {
				without := chatting(b, replica)
				a := assault(b, replica, addresses)
				with := chatting(b, replica)
				a.stop()
				b.ReportMetric(without, "p99-ms-without")
				b.ReportMetric(with, "p99-ms-with")
				b.ReportMetric(with/without, "p99-with/without")
				b.ReportMetric(a.most, "most-MiB-grown")
				b.ReportMetric(float64(a.sent.Load())/a.took.Seconds(), "wrong-sign-ins/s")
				b.ReportMetric(float64(a.good.Load()), "right-sign-ins")
				b.ReportMetric(float64(a.goodFailed.Load()), "right-sign-ins-refused")
			}
		})
	}
}

// chatting returns the 99th percentile of the latency of 2,000 sockets in ms.
func chatting(b *testing.B, replica *process) float64 {
	b.Helper()
	report, err := bench.Run(b.Context(), bench.Options{
		URLs: []string{"http://" + replica.Addr}, Kind: bench.Chat, Sockets: 2000, Rooms: 1000, Rate: 200, Size: 40,
		Warm: 3 * time.Second, For: attacked, Drain: 10 * time.Second, Dialers: 16, HandshakeTimeout: 30 * time.Second,
		Keys: keys(b), First: 1001, Last: users,
	})
	if err != nil {
		b.Fatal(err)
	}
	if report.Failed() {
		b.Errorf("%+v", report.Messages)
	}
	return report.Messages.Latency.P99
}

// An attack is wrong sign-ins at a steady rate, and a right one now and then.
type attack struct {
	sent, good, goodFailed atomic.Int64
	most                   float64 // MiB
	took                   time.Duration
	stop                   func()
}

func assault(b *testing.B, replica *process, addresses int) *attack {
	b.Helper()
	giveWord(b, replica.database)
	a := &attack{}
	ctx, cancel := context.WithCancel(b.Context())
	var all sync.WaitGroup
	before, began := family(b, replica), time.Now()
	all.Go(func() {
		tick := time.NewTicker(time.Second / attackRate)
		defer tick.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			all.Go(func() {
				address := fmt.Sprintf("10.1.%d.%d", n%addresses/250, n%addresses%250)
				_ = signIn(ctx, replica.Addr, address, n%50+goodAccount, "a wrong password")
				a.sent.Add(1)
			})
			if n%attackRate == 0 {
				a.most = max(a.most, family(b, replica)-before)
			}
		}
	})
	all.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			// She tries again where she is told to come back.
			if signIn(ctx, replica.Addr, fmt.Sprintf("10.2.0.%d", n%250), goodAccount, goodWord) == http.StatusOK {
				a.good.Add(1)
			} else if ctx.Err() == nil {
				a.goodFailed.Add(1)
			}
			rest(ctx, time.Second)
		}
	})
	a.stop = func() {
		cancel()
		all.Wait()
		a.took = time.Since(began)
	}
	return a
}

func giveWord(b *testing.B, databaseURL string) {
	b.Helper()
	hash, err := auth.Hash(goodWord)
	if err != nil {
		b.Fatal(err)
	}
	conn, err := pgx.Connect(b.Context(), databaseURL)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = conn.Close(b.Context()) }()
	if _, err := conn.Exec(b.Context(), `UPDATE roomspa.users SET password = $1 WHERE id <= 50`, hash); err != nil {
		b.Fatal(err)
	}
}

// passwordsRole is the argument of a process that works on passwords for a replica.
const passwordsRole = "hash-passwords"

// family returns the resident set of a replica and of the processes that it started,
// in MiB.
func family(b *testing.B, replica *process) float64 {
	b.Helper()
	rss := replica.rss(b) / 1024
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	for _, stat := range stats {
		text, err := os.ReadFile(stat)
		if err != nil {
			continue // that process has ended
		}
		pid, _, _ := strings.Cut(string(text), " ")
		_, after, _ := strings.Cut(string(text), ") ") // behind its name: the state, the parent
		fields := strings.Fields(after)
		child, err := strconv.Atoi(pid)
		if err != nil || len(fields) < 2 || fields[1] != strconv.Itoa(replica.cmd.Process.Pid) {
			continue
		}
		if one, err := bench.RSS(child); err == nil { // it may have ended
			rss += one / (1 << 20)
		}
	}
	return rss
}

// signIn returns the status of the answer, 0 where there is none.
func signIn(ctx context.Context, addr, from string, user int, password string) int {
	body, err := json.Marshal(map[string]string{"identifier": fmt.Sprintf("user%d@example.com", user), "password": password})
	if err != nil {
		return 0
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/login/", strings.NewReader(string(body)))
	if err != nil {
		return 0
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Forwarded-For", from)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = res.Body.Close() }()
	return res.StatusCode
}
