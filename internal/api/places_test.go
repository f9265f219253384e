package api_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/api"
	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
)

func TestOneAddressDoesNotTakeThePlacesOfOthers(t *testing.T) {
	t.Parallel()
	r := newReception(t, nil, func(o *api.Options) {
		o.AddressShare = 0.25
		o.Who = func(r *http.Request) (ref, remote string) { return "", r.RemoteAddr }
	})
	end := make(chan struct{})
	login := func(from string, body io.Reader) int {
		q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login/", body)
		q.RemoteAddr = from
		q.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		r.handler.ServeHTTP(w, q)
		return w.Result().StatusCode
	}
	hold := func(from string, n int) {
		var waiting sync.WaitGroup
		waiting.Add(n)
		for range n {
			r.running.Go(func() { login(from, slowBody{waiting.Done, end}) })
		}
		waiting.Wait()
	}
	want := func(from string, status int) {
		t.Helper()
		if got := login(from, strings.NewReader("{}")); got != status {
			t.Errorf("%s: status %d, want %d", from, got, status)
		}
	}
	hold("[2001:db8::1]:1", 384) // alone it may have half of the places
	want("[2001:db8::2]:1", http.StatusServiceUnavailable)
	want("192.0.2.1:1", http.StatusBadRequest)
	hold("192.0.2.1:1", 192)
	want("192.0.2.1:2", http.StatusServiceUnavailable)
	want("192.0.2.2:1", http.StatusBadRequest)
	close(end)
	r.running.Wait()
	want("[2001:db8::2]:1", http.StatusBadRequest)
}

func TestOneUserDoesNotTakeThePlacesOfOthers(t *testing.T) {
	t.Parallel()
	r := newReception(t, nil)
	end := make(chan struct{})
	login := func(user room.UserID, body io.Reader) int {
		token, _, err := r.keys.Mint(auth.Access, user, time.Now(), time.Hour)
		if err != nil {
			t.Error(err)
		}
		q := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login/", body)
		q.Header.Set("Content-Type", "application/json")
		q.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		r.handler.ServeHTTP(w, q)
		return w.Result().StatusCode
	}
	var waiting sync.WaitGroup
	waiting.Add(768 + 32)
	for range 768 + 32 {
		r.running.Go(func() { login(1, slowBody{waiting.Done, end}) })
	}
	waiting.Wait()
	if status := login(1, strings.NewReader("{}")); status != http.StatusServiceUnavailable {
		t.Errorf("one more: status %d", status)
	}
	if status := login(2, strings.NewReader("{}")); status != http.StatusBadRequest {
		t.Errorf("another user: status %d", status)
	}
	close(end)
	r.running.Wait()
	if status := login(1, strings.NewReader("{}")); status != http.StatusBadRequest {
		t.Errorf("when they are gone: status %d", status)
	}
}
