// Package ctl looks into the fleet through the ops listener of one replica, and prints what it
// finds. The replica asks all the others, see package inspect.
package ctl

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/roomspa/roomspa/internal/inspect"
	"github.com/roomspa/roomspa/internal/logging"
)

// askTimeout is the timeout of a request. A replica answers within a second.
const askTimeout = 5 * time.Second

// maxAnswer bounds an answer in bytes.
const maxAnswer = 32 << 20

// A Client asks the ops listener of one replica.
type Client struct {
	URL   string // of the ops listener
	Token string // that it requires; may be empty
	User  string // who asks, for the log of the replicas
}

// Valid returns an error unless the URL can be asked.
func (c *Client) Valid() error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return errors.New("--ops must be the URL of an ops listener, as in http://127.0.0.1:9090")
	}
	return nil
}

func (c *Client) request(ctx context.Context, method, path string, query url.Values) (*http.Request, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, fmt.Errorf("--ops: %w", err)
	}
	u = u.JoinPath("debug", path)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("--ops: %w", err)
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	req.Header.Set("Roomspa-Operator", logging.Printable(c.User, " "))
	return req, nil
}

// ask decodes the answer to a request.
func ask[T any](ctx context.Context, c *Client, method, path string, query url.Values) (answer T, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := c.request(ctx, method, path, query)
	if err != nil {
		return answer, err
	}
	res, err := (&http.Client{}).Do(req)
	if err != nil {
		return answer, c.unreachable(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return answer, c.unreachable(err)
	}
	if res.StatusCode != http.StatusOK {
		return answer, c.refused(res.StatusCode, text)
	}
	if json.Unmarshal(text, &answer) != nil {
		return answer, c.refused(res.StatusCode, text)
	}
	return answer, nil
}

// unreachable says what to do if nobody answers.
func (c *Client) unreachable(err error) error {
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err
	}
	hint := ""
	if errors.Is(err, syscall.ECONNREFUSED) {
		hint = "; give --ops the ops listener of a replica. In Kubernetes run kubectl port-forward deploy/roomspa 9090 beside this command"
	}
	return fmt.Errorf("ask %s: %w%s", c.URL, err, hint)
}

// refused returns why a replica does not answer.
func (c *Client) refused(status int, text []byte) error {
	var p struct{ Code, Detail string }
	if json.Unmarshal(text, &p) != nil || p.Code == "" {
		return fmt.Errorf("%s answered %d without a reason: is it the address of an ops listener?", c.URL, status)
	}
	if p.Code == "no_such_path" {
		return fmt.Errorf("%s cannot do this: it is a replica of an earlier release, or a public listener", c.URL)
	}
	return fmt.Errorf("%s: %s", p.Code, p.Detail)
}

// Connections returns sockets of all replicas.
func (c *Client) Connections(ctx context.Context, query url.Values) (inspect.Connections, error) {
	return ask[inspect.Connections](ctx, c, http.MethodGet, "connections", query)
}

// Top returns how much all replicas do.
func (c *Client) Top(ctx context.Context, query url.Values) (inspect.Top, error) {
	return ask[inspect.Top](ctx, c, http.MethodGet, "top", query)
}

// Rules returns the raised log levels.
func (c *Client) Rules(ctx context.Context) (inspect.Rules, error) {
	return ask[inspect.Rules](ctx, c, http.MethodGet, "log", nil)
}

// Raise raises the log level.
func (c *Client) Raise(ctx context.Context, query url.Values) (inspect.Rules, error) {
	return ask[inspect.Rules](ctx, c, http.MethodPost, "log", query)
}

// EndRules ends a raised log level, or all of them.
func (c *Client) EndRules(ctx context.Context, query url.Values) (inspect.Rules, error) {
	return ask[inspect.Rules](ctx, c, http.MethodDelete, "log", query)
}

// Close closes sockets.
func (c *Client) Close(ctx context.Context, query url.Values) (inspect.Closed, error) {
	return ask[inspect.Closed](ctx, c, http.MethodPost, "close", query)
}

// Trace passes the lines of a trace on as they come, until the trace or ctx ends.
func (c *Client) Trace(ctx context.Context, query url.Values, line func(text []byte) error) error {
	req, err := c.request(ctx, http.MethodGet, "trace", query)
	if err != nil {
		return err
	}
	res, err := (&http.Client{}).Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || !strings.Contains(res.Header.Get("Content-Type"), "ndjson") {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10)) // a problem, or nothing of use
		return c.refused(res.StatusCode, text)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if err := line(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("the trace from %s broke off: %w", c.URL, err)
	}
	return nil
}
