package world

import (
	"context"
	"log/slog"
	"testing"

	"github.com/roomspa/roomspa/internal/app"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/testkit/sandbox"
)

// Replica is a replica under test: an App in this process, or a process of its own.
type Replica struct {
	World   *World
	Log     *Journal         // in text
	JSONLog *Journal         // the same in JSON; empty for a process
	Process *sandbox.Program // nil for an App in this process

	addr, opsAddr string
	stop          func(context.Context) error
}

// Addr returns host:port of the public listener.
func (r *Replica) Addr() string { return r.addr }

// OpsAddr returns host:port of the ops listener.
func (r *Replica) OpsAddr() string { return r.opsAddr }

// Ops returns the URL of a page of the ops listener.
func (r *Replica) Ops(path string) string { return "http://" + r.opsAddr + path }

// Stop ends the replica in order; it hurries when ctx ends. A second call does nothing.
func (r *Replica) Stop(ctx context.Context) error { return r.stop(ctx) }

// Start starts a replica in this process, which is stopped at the end of the test.
func (w *World) Start(t testing.TB, name string, edit ...func(*app.Options)) *Replica {
	t.Helper()
	o := w.Options(t, edit...)
	o.Replica = name
	r := &Replica{World: w, Log: &Journal{tee: t.Output()}, JSONLog: &Journal{}}
	log := slog.New(both{
		logging.New(r.Log, logging.Options{Format: "text", Level: o.LogLevel, Replica: name}).Handler(),
		logging.New(r.JSONLog, logging.Options{Format: "json", Level: o.LogLevel, Replica: name}).Handler(),
	})
	a, err := app.New(o, "test", log)
	if err != nil {
		t.Fatal(err)
	}
	if w.PasswordProgram != "" {
		a.DelegatePasswords(w.PasswordProgram, "hash-passwords")
	}
	if r.stop, err = Run(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	r.addr, r.opsAddr = a.Addr(), a.OpsAddr()
	r.stopAtEnd(t, name)
	return r
}

func (r *Replica) stopAtEnd(t testing.TB, name string) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := limited(t)
		defer cancel()
		ready := r.isReady(ctx) // else it cannot flush, which is an error of its own
		if err := r.stop(ctx); err != nil && ready {
			t.Errorf("stop replica %s: %v", name, err)
		}
	})
}

// Ready starts a replica and waits until it is ready.
func (w *World) Ready(t testing.TB, name string, edit ...func(*app.Options)) *Replica {
	t.Helper()
	r := w.Start(t, name, edit...)
	r.WaitReady(t)
	return r
}

// Pair starts two replicas, a and b, and waits until they are ready.
func (w *World) Pair(t testing.TB, edit ...func(*app.Options)) (a, b *Replica) {
	t.Helper()
	a, b = w.Start(t, "a", edit...), w.Start(t, "b", edit...)
	a.WaitReady(t)
	b.WaitReady(t)
	return a, b
}
