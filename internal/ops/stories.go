package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/story"
)

// story tells what is known under a reference.
func (o *Options) story(ref string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !story.IsRef(ref) {
			problem.Problem{Status: http.StatusBadRequest, Code: "bad_ref", Detail: "A reference has 16 digits and small letters."}.Write(w)
			return
		}
		told, err := o.Stories.Tell(r.Context(), ref)
		switch {
		case errors.Is(err, story.ErrUnknown):
			problem.Problem{Status: http.StatusNotFound, Code: "unknown_ref", Title: "No such story", Detail: story.Unknown}.Write(w)
		case err != nil:
			problem.Problem{Status: http.StatusServiceUnavailable, Code: "channel_layer_unavailable", Detail: "This replica's memory has no such story, and Redis cannot be asked: " + err.Error()}.Write(w)
		default:
			write(w, http.StatusOK, told)
		}
	})
}

// askLimit bounds a question to another process's ops listener, and its answer.
const (
	askLimit  = 5 * time.Second
	askAnswer = 4 << 20
)

// Ask asks the ops listener at a URL what it knows under a reference. It is
// [story.ErrUnknown] where that is nothing.
func Ask(ctx context.Context, listener, ref string) (*story.Told, error) {
	if !strings.Contains(listener, "://") {
		listener = "http://" + listener
	}
	u, err := url.Parse(listener)
	if err != nil || u.Host == "" {
		return nil, errors.New("--ops must be an address as in http://replica:9090")
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.JoinPath("debug/stories", ref).String(), nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", u.Host, err)
	}
	res, err := (&http.Client{}).Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the ops listener: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, askAnswer))
	if err != nil {
		return nil, fmt.Errorf("ask the ops listener: %w", err)
	}
	var answer struct {
		story.Told

		Code, Detail string
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("%s answers %d, and not as an ops listener does: is it the ops address?", u.Host, res.StatusCode)
	}
	switch {
	case res.StatusCode == http.StatusOK && answer.Story != nil:
		return &answer.Told, nil
	case answer.Code == "unknown_ref":
		return nil, story.ErrUnknown
	}
	return nil, fmt.Errorf("%s answers %d %s: %s", u.Host, res.StatusCode, answer.Code, answer.Detail)
}
