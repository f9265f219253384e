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

// story answers with the story of a reference.
func (o *Options) story(ref string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !story.IsRef(ref) {
			problem.Problem{Status: http.StatusBadRequest, Code: "bad_ref", Detail: "A reference has 16 digits and lower-case letters."}.Write(w)
			return
		}
		told, err := o.Stories.Explain(r.Context(), ref)
		switch {
		case errors.Is(err, story.ErrUnknown):
			problem.Problem{Status: http.StatusNotFound, Code: "unknown_ref", Title: "No such story", Detail: story.UnknownHint}.Write(w)
		case err != nil:
			problem.Problem{Status: http.StatusServiceUnavailable, Code: "channel_layer_unavailable", Detail: "The story is not in this replica's memory, and Redis is unavailable: " + err.Error()}.Write(w)
		default:
			write(w, http.StatusOK, told)
		}
	})
}

// The limits of a request to the ops listener of another process.
const (
	askTimeout = 5 * time.Second
	maxAnswer  = 4 << 20 // bytes
)

// Ask fetches the story of a reference from the ops listener at a URL. The token is that of
// the listener, or empty. The error is
// [story.ErrUnknown] if that replica knows no story.
func Ask(ctx context.Context, listener, token, ref string) (*story.Explanation, error) {
	if !strings.Contains(listener, "://") {
		listener = "http://" + listener
	}
	u, err := url.Parse(listener)
	if err != nil || u.Host == "" {
		return nil, errors.New("--ops must be a URL, as in http://replica:9090")
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.JoinPath("debug/stories", ref).String(), nil)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", u.Host, err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := (&http.Client{}).Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the ops listener: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("ask the ops listener: %w", err)
	}
	var answer struct {
		story.Explanation

		Code, Detail string
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("%s answered %d without JSON: is it the address of an ops listener?", u.Host, res.StatusCode)
	}
	switch {
	case res.StatusCode == http.StatusOK && answer.Story != nil:
		return &answer.Explanation, nil
	case answer.Code == "unknown_ref":
		return nil, story.ErrUnknown
	}
	return nil, fmt.Errorf("%s answered %d %s: %s", u.Host, res.StatusCode, answer.Code, answer.Detail)
}
