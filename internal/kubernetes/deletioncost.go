// Package kubernetes is what a replica tells the cluster that it runs in: how many
// sockets it holds, so that the emptiest one goes first where replicas are taken
// away. It refuses to know anything else of the cluster, and speaks plain HTTP: one
// PATCH needs no client library.
package kubernetes

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/roomspa/roomspa/internal/logging"
)

// Where every Pod finds the API server, and what its service account is given
// (kubernetes.io/docs/tasks/run-application/access-api-from-pod).
const (
	defaultAPI     = "https://kubernetes.default.svc"
	defaultAccount = "/var/run/secrets/kubernetes.io/serviceaccount"
)

const (
	component = "Kubernetes"
	// annotation is what the ReplicaSet's controller sorts by; a whole number of 32
	// bits, the lowest goes first
	// (kubernetes.io/docs/concepts/workloads/controllers/replicaset/#pod-deletion-cost).
	annotation = "controller.kubernetes.io/pod-deletion-cost"
	// every is how often the number is written at most: each time is a write in the
	// cluster's store, and news for whoever watches Pods.
	every = time.Minute
	limit = 10 * time.Second
)

// A DeletionCost keeps the cost of deleting this replica's Pod. Let it
// [DeletionCost.Run].
type DeletionCost struct {
	// Pod is its name.
	Pod string
	// Sockets is what the Pod costs.
	Sockets func() int
	Log     *slog.Logger
	// API and Account are where the API server and the service account's token,
	// ca.crt and namespace are; empty for where a Pod has them.
	API, Account string

	writes *prometheus.CounterVec
	said   string // what was logged last
	last   int    // what was written last; -1 for nothing
}

// Register makes the metrics.
func (d *DeletionCost) Register(reg prometheus.Registerer) {
	d.writes = promauto.With(reg).NewCounterVec(prometheus.CounterOpts{
		Name: "roomspa_pod_deletion_cost_writes_total",
		Help: "Writes of the own Pod's deletion cost, by outcome: done or failed.",
	}, []string{"outcome"})
}

// Run writes the cost whenever it has changed by a tenth, until ctx ends. A failure
// is logged when it is news, and tried again a minute later: nothing depends on it.
func (d *DeletionCost) Run(ctx context.Context) {
	d.last = -1
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if n := d.Sockets(); d.changed(n) {
			d.write(ctx, n)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *DeletionCost) changed(n int) bool {
	return d.last < 0 || max(n-d.last, d.last-n)*10 > d.last
}

func (d *DeletionCost) write(ctx context.Context, n int) {
	err := d.patch(ctx, n)
	if ctx.Err() != nil {
		return // the replica stops: it says nothing about the cluster
	}
	outcome, said := "done", ""
	if err != nil {
		outcome, said = "failed", err.Error()
	} else {
		d.last = n
	}
	d.writes.WithLabelValues(outcome).Inc()
	switch {
	case said != "" && said != d.said:
		logging.Component(d.Log, slog.LevelWarn, component, "Cannot write the Pod's deletion cost: "+said)
	case said == "" && d.said != "":
		logging.Component(d.Log, slog.LevelInfo, component, "The Pod's deletion cost is written again")
	}
	d.said = said
}

// patch writes the annotation (a JSON merge patch, RFC 7396). The account's files
// are read each time: the kubelet replaces the token before it expires.
func (d *DeletionCost) patch(ctx context.Context, n int) error {
	token, err := d.account("token")
	if err != nil {
		return err
	}
	namespace, err := d.account("namespace")
	if err != nil {
		return err
	}
	client, err := d.client()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{annotation: fmt.Sprint(n)}}})
	if err != nil {
		return fmt.Errorf("encode the patch: %w", err)
	}
	address := d.API
	if address == "" {
		address = defaultAPI
	}
	address += "/api/v1/namespaces/" + url.PathEscape(namespace) + "/pods/" + url.PathEscape(d.Pod) + "?fieldManager=roomspa"
	req, err := http.NewRequestWithContext(ctx, http.MethodPatch, address, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/merge-patch+json")
	req.Header.Set("Accept", "application/json")
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask the API server: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return refusal(res)
	}
	return nil
}

// refusal says what the API server said: a Status of its own, in JSON.
func refusal(res *http.Response) error {
	var status struct {
		Message string `json:"message"`
	}
	text, _ := io.ReadAll(io.LimitReader(res.Body, 4096)) // what there is of it
	if json.Unmarshal(text, &status) != nil || status.Message == "" {
		return fmt.Errorf("the API server answers %s", res.Status)
	}
	return fmt.Errorf("the API server answers %s: %s", res.Status, status.Message)
}

// account reads a file of the service account.
func (d *DeletionCost) account(name string) (string, error) {
	dir := d.Account
	if dir == "" {
		dir = defaultAccount
	}
	text, err := os.ReadFile(filepath.Join(dir, name)) //nolint:gosec // a place that the cluster decides
	if err != nil {
		return "", fmt.Errorf("read the service account, which the Pod must mount (automountServiceAccountToken): %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// client trusts the cluster's own authority and nobody else.
func (d *DeletionCost) client() (*http.Client, error) {
	pem, err := d.account("ca.crt")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(pem)) {
		return nil, errors.New("the service account's ca.crt holds no certificate")
	}
	return &http.Client{
		Timeout:       limit,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token goes nowhere else
	}, nil
}
