package auth

import (
	"github.com/roomspa/roomspa/internal/cause"

	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/logging"
)

const (
	jwksEvery   = 5 * time.Minute  // between two looks while all is well
	jwksRetry   = 30 * time.Second // while it is not; 1 s at first, as long as there are no keys
	jwksTimeout = 5 * time.Second  // of one look
	// An unknown kid makes it look at once, but not more often than this, and
	// whoever brings one waits for the outcome for a moment, a few at a time:
	// anybody can make up a kid.
	jwksAskEvery   = 10 * time.Second
	jwksAskWait    = 2 * time.Second
	jwksAskWaiting = 16
)

// JWKSOptions says where the public keys are whose tokens are accepted too.
type JWKSOptions struct {
	// Source is an https URL of a JWK Set (RFC 7517 §5), or the path of a file; empty
	// for no keys at all.
	Source string
	// Issuer and Audience are what iss and aud of those tokens have to say; empty
	// for anything. A set that signs tokens for other services too needs them
	// (RFC 8725 §3.8, §3.9).
	Issuer, Audience string
	// HTTP makes the requests; nil for a client of its own.
	HTTP *http.Client
	// AskEvery is the least time between two looks for an unknown kid; 0 means 10 s.
	AskEvery time.Duration
}

// A JWKS is a set of public keys that somebody else keeps. The keys that were
// seen last stay good while their source is away. It looks for new ones while
// [JWKS.Run] runs.
type JWKS struct {
	o       JWKSOptions
	isFile  bool
	log     *slog.Logger
	metrics *jwksMetrics
	keys    atomic.Pointer[[]key]
	trouble string // what was last logged, Run's own
	wake    chan struct{}

	mu      sync.Mutex
	running bool
	looked  time.Time     // when the last look ended
	round   chan struct{} // is closed when the look that was asked for has ended
	waiting int
}

// NewJWKS checks the source and reads it if it is a file: one that cannot be used
// is a mistake of whoever named it. A URL need not answer yet.
func NewJWKS(o JWKSOptions, log *slog.Logger, reg prometheus.Registerer) (*JWKS, error) {
	o.AskEvery = cmp.Or(o.AskEvery, jwksAskEvery)
	j := &JWKS{o: o, log: log, isFile: !strings.Contains(o.Source, "://"), wake: make(chan struct{}, 1)}
	j.keys.Store(&[]key{})
	j.metrics = newJWKSMetrics(reg, j)
	if o.Source == "" {
		return j, nil
	}
	if j.isFile {
		return j, j.look(context.Background()) //nolint:forbidigo // a file's reading takes no context
	}
	u, err := url.Parse(o.Source)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, errors.New("it must be an https URL without credentials, or the path of a file")
	}
	if o.HTTP == nil {
		j.o.HTTP = &http.Client{CheckRedirect: onlyHTTPS}
	}
	return j, nil
}

func onlyHTTPS(r *http.Request, via []*http.Request) error {
	if r.URL.Scheme != "https" || len(via) > 3 {
		return errors.New("it redirects too often, or away from https")
	}
	return nil
}

// Run keeps the keys fresh until ctx ends.
func (j *JWKS) Run(ctx context.Context) {
	if j.o.Source == "" {
		return
	}
	j.mu.Lock()
	j.running = true
	j.mu.Unlock()
	wait, failures := time.Duration(0), 0
	if j.isFile { // NewJWKS has read it
		wait = jwksEvery
	}
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			j.settle(true)
			return
		case <-j.wake:
			timer.Stop()
		case <-timer.C:
		}
		err := j.look(ctx)
		j.settle(false)
		switch {
		case err == nil:
			wait, failures = jwksEvery, 0
		case len(*j.keys.Load()) == 0:
			wait = min(time.Second<<min(failures, 10), jwksRetry)
			failures++
		default:
			wait = jwksRetry
		}
		wait += rand.N(wait / 5) // replicas should not come together
	}
}

// settle lets those go on who have asked for a look.
func (j *JWKS) settle(end bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.looked = time.Now(); j.round != nil {
		close(j.round)
		j.round = nil
	}
	select {
	case <-j.wake: // that was it
	default:
	}
	if end {
		j.running = false
	}
}

// ask makes Run look, since a token names a key that is not there, and waits a
// moment for the outcome. It reports whether there was a look.
func (j *JWKS) ask() bool {
	j.mu.Lock()
	if !j.running || j.waiting >= jwksAskWaiting || j.round == nil && time.Since(j.looked) < j.o.AskEvery {
		j.mu.Unlock()
		return false
	}
	if j.round == nil {
		j.round = make(chan struct{})
		select {
		case j.wake <- struct{}{}:
		default:
		}
	}
	round := j.round
	j.waiting++
	j.mu.Unlock()
	timer := time.NewTimer(jwksAskWait)
	defer timer.Stop()
	defer func() {
		j.mu.Lock()
		j.waiting--
		j.mu.Unlock()
	}()
	select {
	case <-round:
		return true
	case <-timer.C:
		return false
	}
}

// look reads the source once. Where it cannot, the known keys stay.
func (j *JWKS) look(ctx context.Context) error {
	text, err := j.read(ctx)
	var keys []key
	var skipped []error
	if err == nil {
		if keys, skipped, err = parseKeySet(text); err != nil {
			err = &keySetError{"jwks_invalid", err}
		}
	}
	known := len(*j.keys.Load())
	if err != nil {
		j.metrics.failed()
		if why := err.Error(); why != j.trouble && ctx.Err() == nil {
			j.trouble = why
			logging.Component(j.log, slog.LevelError, "JWKS", fmt.Sprintf("Keys not renewed: %s; the %d that are known stay", why, known),
				slog.String("cause", cause.Of(err)))
		}
		return err
	}
	j.keys.Store(&keys)
	j.metrics.renewed()
	if news := fmt.Sprint(len(keys), skipped); news != j.trouble { // once for each change
		j.trouble = news
		logging.Component(j.log, slog.LevelInfo, "JWKS", fmt.Sprintf("Keys loaded: %d", len(keys)))
		for _, why := range skipped {
			logging.Component(j.log, slog.LevelWarn, "JWKS", "Key left out: "+why.Error(), slog.String("cause", "jwks_key_left_out"))
		}
	}
	return nil
}

// A keySetError is why there is no new key set, with its word in the table of advice.
type keySetError struct {
	cause string
	error
}

// Cause is the word for it.
func (e *keySetError) Cause() string { return e.cause }

// Unwrap returns what has happened.
func (e *keySetError) Unwrap() error { return e.error }

func (j *JWKS) read(ctx context.Context) ([]byte, error) {
	if j.isFile {
		f, err := os.Open(j.o.Source)
		if err != nil {
			return nil, &keySetError{"jwks_unreadable", fmt.Errorf("read the key set: %w", err)}
		}
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, maxKeySet+1))
		if err != nil {
			return nil, &keySetError{"jwks_unreadable", fmt.Errorf("read the key set: %w", err)}
		}
		return text, nil
	}
	ctx, cancel := context.WithTimeout(ctx, jwksTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, j.o.Source, nil)
	if err != nil {
		return nil, errors.New("ask for the key set: the URL is none")
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := j.o.HTTP.Do(r)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // the URL may hold a secret in its query
		}
		return nil, &keySetError{"jwks_unreachable", fmt.Errorf("ask for the key set: %w", err)}
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, &keySetError{"jwks_refused", fmt.Errorf("ask for the key set: the answer is %d", res.StatusCode)}
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxKeySet+1))
	if err != nil {
		return nil, &keySetError{"jwks_unreachable", fmt.Errorf("read the key set: %w", err)}
	}
	return text, nil
}

// meantForUs judges the iss and aud of a token that a key of the set has signed,
// as far as it is known what they should say (RFC 7519 §4.1.1, §4.1.3).
func (j *JWKS) meantForUs(set claimSet) *Refusal {
	if j.o.Issuer != "" {
		if iss, ok := unquote(set["iss"]); !ok || iss != j.o.Issuer {
			return invalid("wrong_issuer", "The token's iss is not the one that is accepted here.")
		}
	}
	if j.o.Audience == "" {
		return nil
	}
	if one, ok := unquote(set["aud"]); ok && one == j.o.Audience {
		return nil
	}
	var several []string
	if json.Unmarshal(set["aud"], &several) == nil && slices.Contains(several, j.o.Audience) {
		return nil
	}
	return invalid("wrong_audience", "The token's aud does not name this service.")
}
