package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/api"
	"github.com/roomspa/roomspa/internal/auth"
)

func TestLoginDoesNotWaitForEverForItsTurn(t *testing.T) {
	t.Parallel()
	keys, err := auth.NewKeys([]string{secret})
	if err != nil {
		t.Fatal(err)
	}
	for _, identifier := range []string{"user@example.com", "nobody@example.com"} {
		t.Run(identifier, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			o := loginOptions(someone(), auth.NewPasswords(1, 32), keys)
			o.LoginWait = -1 // is over before it begins
			handler := api.New(o, slog.New(slog.NewTextHandler(&log, nil)), nil)
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, post(t, with(identifier, password)))
			res := w.Result()
			got := decode(t, res)
			if res.StatusCode != 503 || got["code"] != "busy" || res.Header.Get("Retry-After") != "2" {
				t.Errorf("status %d, answer %v", res.StatusCode, got)
			}
			if !strings.Contains(log.String(), `level=WARN msg="[Login] Refused: busy, `) {
				t.Errorf("log:\n%s", &log)
			}
		})
	}
}

// askedInVain fails a sign-in that is refused anyway, and asks Redis nevertheless.
type askedInVain struct{ t *testing.T }

func (a askedInVain) Take(context.Context, []string, []int) (int, time.Duration, error) {
	a.t.Error("the throttle was asked")
	return -1, 0, nil
}

func (a askedInVain) Give(context.Context, []string, []int) error { return nil }

func TestWhereTooManyWaitALoginIsRefusedBeforeAnyStoreIsAsked(t *testing.T) {
	t.Parallel()
	keys, err := auth.NewKeys([]string{secret})
	if err != nil {
		t.Fatal(err)
	}
	accounts := someone()
	accounts.fails = errors.New("the database was asked")
	passwords := auth.NewPasswords(1, 0)
	passwords.UseProcesses([]string{"sleep", "60"}, slog.New(slog.DiscardHandler)) // is at it for ever
	var working sync.WaitGroup
	defer working.Wait()
	defer passwords.Close()
	working.Go(func() { _ = passwords.VerifyUnknown(t.Context(), auth.Client{}, password) })
	for !passwords.Busy(auth.Client{}) {
		runtime.Gosched()
	}
	o := loginOptions(accounts, passwords, keys)
	o.Throttle = askedInVain{t}
	handler := api.New(o, slog.New(slog.DiscardHandler), nil)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, post(t, with("user@example.com", password)))
	if res := w.Result(); res.StatusCode != 503 || decode(t, res)["code"] != "busy" || res.Header.Get("Retry-After") != "2" {
		t.Errorf("status %d", res.StatusCode)
	}
}

func TestLoginOfAClientThatLeftIsNoFaultOfTheServer(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a := someone()
	a.fails = fmt.Errorf("credentials: %w", ctx.Err())
	l := newLogin(t, a, nil)
	_ = l.do(post(t, with("user@example.com", password)).WithContext(ctx))
	l.logged(t, "WARN", `"[Login] Client gone: internal"`)
}
