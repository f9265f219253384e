package auth

import (
	"bytes"
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

	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/logging"
)

const (
	jwksInterval = 5 * time.Minute  // between two successful refreshes
	jwksMaxRetry = 30 * time.Second // between failed ones; starts at 1 s while there are no keys
	jwksTimeout  = 5 * time.Second  // of one refresh
	// An unknown kid triggers a refresh. The refreshes are rate-limited and the requests
	// that wait for them are bounded, because anybody can make up a kid.
	unknownKeyInterval = 10 * time.Second
	unknownKeyWait     = 2 * time.Second
	unknownKeyWaiters  = 16
)

// JWKSOptions are the settings of a [JWKS].
type JWKSOptions struct {
	// Source is the https URL of a JWK Set (RFC 7517 §5) or the path of a file. Empty means
	// no keys.
	Source string
	// Issuer and Audience are the required iss and aud of tokens that these keys sign. Empty
	// means any. They are needed if the keys also sign tokens for other services (RFC 8725
	// §3.8, §3.9).
	Issuer, Audience string
	// HTTP is the client for requests. nil means a default client.
	HTTP *http.Client
	// UnknownKeyInterval is the minimum time between two refreshes because of an unknown
	// kid. 0 means 10 s.
	UnknownKeyInterval time.Duration
}

// A JWKS is a set of public keys that another service publishes. [JWKS.Run] refreshes it. The
// last known keys stay in use while the source is unavailable.
type JWKS struct {
	o          JWKSOptions
	isFile     bool
	log        *slog.Logger
	metrics    *jwksMetrics
	keys       atomic.Pointer[[]key]
	lastReport string // last logged outcome; used by refresh only
	wake       chan struct{}

	mu        sync.Mutex
	running   bool
	refreshed time.Time     // end of the last refresh
	round     chan struct{} // closed at the end of the requested refresh; nil if none was requested
	waiting   int
}

// NewJWKS returns a JWKS. It reads the source if it is a file, and returns an error if the file
// is not usable or the URL is not valid. A URL need not be reachable yet.
func NewJWKS(o JWKSOptions, log *slog.Logger, reg prometheus.Registerer) (*JWKS, error) {
	o.UnknownKeyInterval = cmp.Or(o.UnknownKeyInterval, unknownKeyInterval)
	j := &JWKS{o: o, log: log, isFile: !strings.Contains(o.Source, "://"), wake: make(chan struct{}, 1)}
	j.keys.Store(&[]key{})
	j.metrics = newJWKSMetrics(reg, j)
	if o.Source == "" {
		return j, nil
	}
	if j.isFile {
		return j, j.refresh(context.Background()) //nolint:forbidigo // reading a file takes no context
	}
	u, err := url.Parse(o.Source)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, errors.New("the JWKS source must be an https URL without credentials or the path of a file")
	}
	if o.HTTP == nil {
		j.o.HTTP = &http.Client{CheckRedirect: onlyHTTPS}
	}
	return j, nil
}

func onlyHTTPS(r *http.Request, via []*http.Request) error {
	if r.URL.Scheme != "https" || len(via) > 3 {
		return errors.New("too many redirects, or a redirect away from https")
	}
	return nil
}

// Run refreshes the keys until ctx ends.
func (j *JWKS) Run(ctx context.Context) {
	if j.o.Source == "" {
		return
	}
	j.mu.Lock()
	j.running = true
	j.mu.Unlock()
	wait, failures := time.Duration(0), 0
	if j.isFile { // NewJWKS has read it
		wait = jwksInterval
	}
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			j.endRound(true)
			return
		case <-j.wake:
			timer.Stop()
		case <-timer.C:
		}
		err := j.refresh(ctx)
		j.endRound(false)
		switch {
		case err == nil:
			wait, failures = jwksInterval, 0
		case len(*j.keys.Load()) == 0:
			wait = min(time.Second<<min(failures, 10), jwksMaxRetry)
			failures++
		default:
			wait = jwksMaxRetry
		}
		wait += rand.N(wait / 5) // spreads the requests of the replicas
	}
}

// endRound releases the requests that wait for a refresh.
func (j *JWKS) endRound(stopped bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.refreshed = time.Now(); j.round != nil {
		close(j.round)
		j.round = nil
	}
	select {
	case <-j.wake: // this refresh has served the request
	default:
	}
	if stopped {
		j.running = false
	}
}

// refreshForUnknownKey makes Run refresh the keys and waits up to 2 s for it. It reports whether
// the keys were refreshed. It does nothing if the last refresh was too recent or too many
// requests wait already.
func (j *JWKS) refreshForUnknownKey() bool {
	j.mu.Lock()
	if !j.running || j.waiting >= unknownKeyWaiters || j.round == nil && time.Since(j.refreshed) < j.o.UnknownKeyInterval {
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
	timer := time.NewTimer(unknownKeyWait)
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

// refresh reads the source once. The known keys stay in use if it fails.
func (j *JWKS) refresh(ctx context.Context) error {
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
		if why := err.Error(); why != j.lastReport && ctx.Err() == nil {
			j.lastReport = why
			logging.Component(j.log, slog.LevelError, "JWKS", fmt.Sprintf("Refresh failed: %s; keeping %d known keys", why, known),
				slog.String("cause", cause.Of(err)))
		}
		return err
	}
	j.keys.Store(&keys)
	j.metrics.succeeded()
	if report := fmt.Sprint(len(keys), skipped); report != j.lastReport { // log each change once
		j.lastReport = report
		logging.Component(j.log, slog.LevelInfo, "JWKS", fmt.Sprintf("Keys loaded: %d", len(keys)))
		for _, why := range skipped {
			logging.Component(j.log, slog.LevelWarn, "JWKS", "Key ignored: "+why.Error(), slog.String("cause", "jwks_key_left_out"))
		}
	}
	return nil
}

// A keySetError is a failed refresh with its word in the table of causes.
type keySetError struct {
	cause string
	error
}

// Cause returns the word.
func (e *keySetError) Cause() string { return e.cause }

// Unwrap returns the wrapped error.
func (e *keySetError) Unwrap() error { return e.error }

func (j *JWKS) read(ctx context.Context) ([]byte, error) {
	if j.isFile {
		f, err := os.Open(j.o.Source)
		if err != nil {
			return nil, &keySetError{"jwks_unreadable", fmt.Errorf("read JWKS: %w", err)}
		}
		defer f.Close()
		text, err := io.ReadAll(io.LimitReader(f, maxKeySet+1))
		if err != nil {
			return nil, &keySetError{"jwks_unreadable", fmt.Errorf("read JWKS: %w", err)}
		}
		return bytes.TrimPrefix(text, []byte(byteOrderMark)), nil
	}
	ctx, cancel := context.WithTimeout(ctx, jwksTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, j.o.Source, nil)
	if err != nil {
		return nil, errors.New("fetch JWKS: invalid URL")
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := j.o.HTTP.Do(r)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // the URL can contain a secret in its query
		}
		return nil, &keySetError{"jwks_unreachable", fmt.Errorf("fetch JWKS: %w", err)}
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, &keySetError{"jwks_refused", fmt.Errorf("fetch JWKS: HTTP status %d", res.StatusCode)}
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, maxKeySet+1))
	if err != nil {
		return nil, &keySetError{"jwks_unreachable", fmt.Errorf("fetch JWKS: %w", err)}
	}
	return text, nil
}

// checkIssuerAndAudience checks the iss and aud of a token that a key of the set has signed
// (RFC 7519 §4.1.1, §4.1.3).
func (j *JWKS) checkIssuerAndAudience(set claimSet) *Refusal {
	if j.o.Issuer != "" {
		if iss, ok := unquote(set["iss"]); !ok || iss != j.o.Issuer {
			return invalid("wrong_issuer", "The token's iss is not the accepted issuer.")
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

// Check refreshes the keys once and returns their number. It is for programs that do not call
// [JWKS.Run].
func (j *JWKS) Check(ctx context.Context) (keys int, err error) {
	if j.o.Source != "" {
		err = j.refresh(ctx)
	}
	return len(*j.keys.Load()), err
}
