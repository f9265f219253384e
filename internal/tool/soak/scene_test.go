package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/testkit/netfault"
	"github.com/roomspa/roomspa/internal/testkit/world"
	"github.com/roomspa/roomspa/internal/tool/judge"
)

// replicaVariable makes this test binary a replica, which can be killed.
const replicaVariable = "ROOMSPA_SOAK_TEST_REPLICA"

func TestMain(m *testing.M) {
	if os.Getenv(replicaVariable) != "" {
		os.Exit(serve())
	}
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // else every replica takes a second to exit
	world.Main(m)
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

// processes, beside the needs of world.New, makes replicas processes of their own. Otherwise they run in this process.
const processes world.Need = 1 << 16

// apps, beside the needs of world.New, adds apps of the predecessor to the room.
const apps world.Need = 1 << 17

// scripts, beside the needs of world.New, adds JavaScript clients to the room.
const scripts world.Need = 1 << 18

// A scene is a deployment with a few replicas and one room of devices, which talk.
type scene struct {
	*deployment

	world   *world.World
	crowd   *crowd
	runner  *runner
	talking sync.WaitGroup
	hush    context.CancelFunc
	began   time.Time
}

// newDeployment returns a deployment on the stores of a world.
func newDeployment(t *testing.T, w *world.World, options ...string) *deployment {
	t.Helper()
	s := &deployment{
		dir: t.ArtifactDir(), postgres: w.Postgres, redis: w.Redis, pgURL: w.DatabaseURL, redisURL: w.RedisURL, prefix: w.RedisPrefix,
		keys: w.Keys, secret: w.Secret, options: options,
	}
	if err := makeDir(s.dir); err != nil {
		t.Fatal(err)
	}
	return s
}

func newScene(t *testing.T, needs world.Need) *scene {
	t.Helper()
	return newSceneWith(t, needs, nil)
}

// newSceneWith calls prepare, if it is not nil, before a replica starts.
func newSceneWith(t *testing.T, needs world.Need, prepare func(*deployment)) *scene {
	t.Helper()
	t.Parallel()
	w := world.NewWith(t, oneRoom, needs)
	if prepare != nil {
		prepare(&deployment{postgres: w.Postgres, pgURL: w.DatabaseURL})
	}
	return newSceneIn(t, w, 2, needs)
}

// newSceneIn makes the scene with so many replicas in a world that has one room.
func newSceneIn(t *testing.T, w *world.World, replicas int, needs world.Need, options ...string) *scene {
	t.Helper()
	sc := &scene{deployment: newDeployment(t, w, options...), world: w, hush: func() {}, began: time.Now()}
	for n := range replicas {
		name := fmt.Sprintf("replica-%d", n+1)
		if needs&processes != 0 {
			sc.process(t, name)
		} else {
			sc.inProcess(t, name)
		}
	}
	var err error
	o := Options{Seed: 1, Clients: roomSize, Rate: 40}
	if needs&scripts != 0 {
		o.JS, o.Rate = len(jsSeats), 60
		if sc.js, err = writeJS(t.Context(), sc.dir); err != nil {
			t.Fatal(err)
		}
	}
	if needs&apps != 0 {
		o.Classic, o.Rate = len(classicSeats), 60
	}
	if sc.crowd, err = sc.startCrowd(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	closed := sync.OnceValue(sc.crowd.close)
	t.Cleanup(func() { _ = closed() })
	sc.runner = newRunner(sc.deployment, sc.crowd, sc.began, nil)
	sc.waitConnected(t)
	return sc
}

// waitConnected waits until all devices are connected.
func (s *scene) waitConnected(t *testing.T) {
	t.Helper()
	world.Eventually(t, "all are connected", func() (bool, any) {
		return !slices.ContainsFunc(s.crowd.devices, func(d *device) bool { return !d.connected.Load() }), nil
	})
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
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), world.Limit)
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
func (s *scene) inProcess(t *testing.T, name string) {
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
	r.addr = s.world.Start(t, name, func(edited *app.Options) { *edited = o }).Addr()
	t.Cleanup(func() { r.eachLink((*netfault.Proxy).Heal) }) // so that it can flush
	if r.front, err = netfault.Listen(r.addr); err != nil {
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

// acknowledge waits for n more acknowledgements.
func (s *scene) acknowledge(t *testing.T, n int64) {
	t.Helper()
	want := s.acknowledged() + n
	world.Eventually(t, "messages are acknowledged", func() (bool, any) { n := s.acknowledged(); return n >= want, n })
}

func (s *scene) acknowledged() (n int64) {
	for _, d := range s.crowd.devices {
		n += d.acknowledged.Load()
	}
	return n
}

// fault carries out one fault as a soak would.
func (s *scene) fault(t *testing.T, k kind, replica int, lasts time.Duration, seed uint64) {
	t.Helper()
	f := &fault{kind: k, targetKind: postgresTarget, replica: replica, duration: lasts, seed: seed}
	for _, known := range kinds {
		if known.kind == k {
			f.targetKind = known.target
		}
	}
	if err := s.runner.execute(t.Context(), f); err != nil {
		t.Error(err)
	}
}

// verdict waits until everybody has seen everything, for as long as is stated,
// and has the judge look.
func (s *scene) verdict(t *testing.T) *judge.Verdict {
	t.Helper()
	return s.verdictWithin(t, world.Limit)
}

func (s *scene) verdictWithin(t *testing.T, within time.Duration) *judge.Verdict {
	t.Helper()
	s.hush()
	s.talking.Wait()
	s.crowd.waitIdle(t.Context(), within, s.pgURL)
	run := judge.Run{Within: within, Started: s.began.UnixMicro(), Ended: time.Now().UnixMicro()}
	if slices.ContainsFunc(s.crowd.devices, func(d *device) bool { return d.classic }) {
		if err := s.writePages(t.Context(), s.crowd.rooms); err != nil {
			t.Fatal(err)
		}
	}
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
	t.Logf("%d messages, %d reconnects, faults: %s, classic: %+v", v.Messages, v.Reconnects, text, v.Classic)
	return v
}
