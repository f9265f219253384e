package soak

import (
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/testkit/netfault"
	"github.com/roomspa/roomspa/internal/testkit/sandbox/sandboxtest"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/judge"
)

// replicaVariable makes this test binary a replica, which can be killed.
const replicaVariable = "ROOMSPA_SOAK_TEST_REPLICA"

func TestMain(m *testing.M) {
	if os.Getenv(replicaVariable) != "" {
		os.Exit(serve())
	}
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("6") // these tests mostly wait; with more at once a small machine keeps them from being in time
	}
	sandboxtest.Main(m)
}

// options reads what environment configures.
func options(environment []string) (o app.Options, err error) {
	var args []string
	for _, e := range environment {
		name, value, _ := strings.Cut(strings.TrimPrefix(e, "ROOMSPA_"), "=")
		if strings.HasPrefix(e, "ROOMSPA_") && !strings.HasPrefix(e, replicaVariable) && !strings.HasPrefix(name, "TEST_") && name != "DEPS" {
			args = append(args, "--"+strings.ToLower(strings.ReplaceAll(name, "_", "-"))+"="+value)
		}
	}
	parser, err := kong.New(&o, kong.Name("serve"))
	if err == nil {
		_, err = parser.Parse(args)
	}
	return o, err
}

// serve is what `roomspa serve` does.
func serve() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := logging.New(os.Stdout, logging.Options{Format: "text", Level: "warn"})
	o, err := options(os.Environ())
	if err == nil {
		var a *app.App
		if a, err = app.New(o, "test", log); err == nil {
			err = a.Run(ctx)
		}
	}
	if err != nil {
		logging.Component(log, slog.LevelError, "Replica", err.Error())
		return 1
	}
	return 0
}

// What a scene has for itself, to break it.
type own int

const (
	ownRedis own = 1 << iota
	ownPostgres
	processes // the replicas are processes; otherwise they live in this one
)

// A scene is a deployment with two replicas and one room of five devices, which talk.
type scene struct {
	*deployment

	crowd   *crowd
	runner  *runner
	talking sync.WaitGroup
	hush    context.CancelFunc
	began   time.Time
}

// scenePatience is how long anything may take, and how long after the last fault
// everybody has to have seen everything: much longer than a soak allows, since a
// test may share its machine with whole suites. A good scene waits for neither.
const scenePatience = 90 * time.Second

func newScene(t *testing.T, what own) *scene {
	t.Helper()
	t.Parallel()
	s := &deployment{dir: t.ArtifactDir(), secret: newSecret()}
	if err := makeDir(s.dir); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.keys, err = auth.NewKeys([]string{s.secret}); err != nil {
		t.Fatal(err)
	}
	if what&ownRedis != 0 {
		s.redis = sandboxtest.OwnRedis(t)
		s.redisURL, s.prefix = s.redis.URL(), "own:"
	} else {
		s.redisURL, s.prefix = sandboxtest.Redis(t)
	}
	if what&ownPostgres != 0 {
		s.postgres = sandboxtest.OwnPostgres(t)
		s.pgURL = s.postgres.URL("postgres")
		if err := oneRoom(t.Context(), s.pgURL); err != nil {
			t.Fatal(err)
		}
	} else {
		s.pgURL = sandboxtest.Database(t, oneRoom)
	}
	for _, name := range []string{"replica-1", "replica-2"} {
		if what&processes != 0 {
			s.process(t, name)
		} else {
			s.inProcess(t, name)
		}
	}
	sc := &scene{deployment: s, hush: func() {}, began: time.Now()}
	if sc.crowd, err = s.startCrowd(t.Context(), Options{Seed: 1, Clients: roomSize, Rate: 40}); err != nil {
		t.Fatal(err)
	}
	closed := sync.OnceValue(sc.crowd.close)
	t.Cleanup(func() { _ = closed() })
	sc.runner = newRunner(s, sc.crowd, sc.began, nil)
	sc.until(t, "all are connected", func() bool {
		for _, d := range sc.crowd.devices {
			if !d.connected.Load() {
				return false
			}
		}
		return true
	})
	return sc
}

func oneRoom(ctx context.Context, url string) error { return populate(ctx, url, 1) }

// process starts a replica as a process of its own, which is this binary.
func (s *deployment) process(t *testing.T, name string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s.command = []string{"/usr/bin/env", replicaVariable + "=1", self}
	r, err := s.startReplica(t.Context(), name, filepath.Join(t.TempDir(), name))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), stopLimit)
		defer cancel()
		if err := r.stop(ctx); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	s.replicas = append(s.replicas, r)
}

// inProcess starts a replica in this process, behind links of its own.
func (s *deployment) inProcess(t *testing.T, name string) {
	t.Helper()
	r := &replica{name: name}
	t.Cleanup(func() { r.eachLink((*netfault.Proxy).Close) })
	if err := s.openLinks(r); err != nil {
		t.Fatal(err)
	}
	o, err := options(s.environment(r, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	o.WriteTimeout = time.Second // the shortest there is
	file, err := s.openLog(name)
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(o, "test", logging.New(file, logging.Options{Format: "text", Level: "warn", Replica: name}))
	if err != nil {
		t.Fatal(err)
	}
	stop, err := world.Run(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), stopLimit)
		defer cancel()
		r.eachLink((*netfault.Proxy).Heal)
		if err := stop(ctx); err != nil {
			t.Error(err)
		}
		_ = file.Close()
	})
	if r.addr = a.Addr(); err == nil {
		r.front, err = netfault.Listen(r.addr)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.replicas = append(s.replicas, r)
}

// talk lets everybody speak until the verdict.
func (s *scene) talk(t *testing.T) {
	t.Helper()
	ctx, hush := context.WithCancel(t.Context())
	s.hush = hush
	s.talking.Go(func() { s.crowd.sendAll(ctx) })
	s.acknowledge(t, 25)
}

// acknowledge waits for so many more acknowledgements.
func (s *scene) acknowledge(t *testing.T, n int64) {
	t.Helper()
	want := s.acknowledged() + n
	s.until(t, "messages are acknowledged", func() bool { return s.acknowledged() >= want })
}

func (s *scene) acknowledged() (n int64) {
	for _, d := range s.crowd.devices {
		n += d.acknowledged.Load()
	}
	return n
}

func (s *scene) until(t *testing.T, what string, ask func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.Now().Add(scenePatience)
	for !ask() {
		if time.Now().After(limit) {
			t.Fatalf("%s: not within %v", what, scenePatience)
		}
		<-tick.C
	}
}

// fault carries out one fault as a soak would.
func (s *scene) fault(t *testing.T, k kind, replica int, lasts time.Duration, seed uint64) {
	t.Helper()
	for _, known := range kinds {
		if known.kind == k {
			f := &fault{kind: k, targetKind: known.target, replica: replica, duration: lasts, seed: seed}
			if err := s.runner.execute(t.Context(), f); err != nil {
				t.Error(err)
			}
			return
		}
	}
	t.Errorf("there is no %s", k)
}

// verdict waits until everybody has seen everything, for as long as is stated,
// and has the judge look.
func (s *scene) verdict(t *testing.T) *judge.Verdict {
	t.Helper()
	s.hush()
	s.talking.Wait()
	s.crowd.waitIdle(t.Context(), scenePatience)
	run := judge.Run{Within: scenePatience, Started: s.began.UnixMicro(), Ended: time.Now().UnixMicro()}
	if err := s.crowd.close(); err != nil {
		t.Fatal(err)
	}
	if err := s.runner.writeFaults(s.dir); err != nil {
		t.Fatal(err)
	}
	if err := writeJSON(filepath.Join(s.dir, judge.RunFile), run); err != nil {
		t.Fatal(err)
	}
	if err := Dump(t.Context(), s.pgURL, s.dir); err != nil {
		t.Fatal(err)
	}
	v, err := judge.Judge(os.DirFS(s.dir))
	if err != nil {
		t.Fatal(err)
	}
	for i := range v.Violations {
		_ = v.Violations[i].Write(t.Output())
	}
	if v.Count > 0 {
		t.Errorf("%d violations", v.Count)
	}
	for _, c := range s.failures() {
		t.Error(c)
	}
	text, _ := json.Marshal(v.Faults)
	t.Logf("%d messages, %d reconnects, faults: %s", v.Messages, v.Reconnects, text)
	return v
}
