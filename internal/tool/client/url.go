package client

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// An Endpoint is one of the kinds of socket that a server offers.
type Endpoint string

// The endpoints. Echo stands for /ws/test/ and for every other path: text goes
// there and comes back as it is.
const (
	Echo     Endpoint = "test"
	Chat     Endpoint = "chat"
	Location Endpoint = "location"
)

// EndpointOf says which endpoint a URL names, by its path.
func EndpointOf(rawURL string) Endpoint {
	u, err := url.Parse(rawURL)
	if err != nil {
		return Echo
	}
	_, rest, _ := strings.Cut(u.Path, "/ws/")
	switch name, _, _ := strings.Cut(rest, "/"); Endpoint(name) {
	case Chat:
		return Chat
	case Location:
		return Location
	default:
		return Echo
	}
}

// SocketURL returns a URL that may have been written with http or https as the
// ws or wss URL it stands for. Its errors never repeat the URL, which may hold a
// token.
func SocketURL(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("the URL cannot be parsed")
	}
	switch u.Scheme {
	case "ws", "wss":
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	default:
		return nil, fmt.Errorf("a URL begins with ws://, wss://, http:// or https://%s", notWith(u.Scheme))
	}
	switch {
	case u.Host == "":
		return nil, errors.New("the URL names no host")
	case u.User != nil:
		return nil, errors.New("a WebSocket URL cannot hold a user or password")
	}
	u.Fragment = ""
	return u, nil
}

func notWith(scheme string) string {
	if scheme == "" {
		return ""
	}
	return ", not with " + scheme + ":"
}

// BaseURL returns the http or https URL of the server that a WebSocket URL
// belongs to: what stands before /ws/, without a slash at its end.
func BaseURL(rawURL string) (string, error) {
	u, err := SocketURL(rawURL)
	if err != nil {
		return "", err
	}
	u.Scheme = "http" + strings.TrimPrefix(u.Scheme, "ws")
	u.RawQuery = ""
	path, _, _ := strings.Cut(u.Path, "/ws/")
	u.Path, u.RawPath = strings.TrimRight(path, "/"), ""
	return u.String(), nil
}

// target returns the URL to dial, with what the options add to its query.
func (o Options) target() (*url.URL, error) {
	u, err := SocketURL(o.URL)
	if err != nil {
		return nil, err
	}
	q := u.Query()
	if o.Since != nil {
		q.Set("since", strconv.FormatInt(*o.Since, 10))
	}
	if o.LastRef != "" {
		q.Set("last_ref", o.LastRef)
	}
	if o.LastCode != 0 {
		q.Set("last_code", strconv.Itoa(o.LastCode))
	}
	if o.Token != "" && o.TokenIn == TokenInQuery {
		q.Set("token", o.Token)
	}
	if len(q) > 0 {
		u.RawQuery = q.Encode()
	}
	return u, nil
}
