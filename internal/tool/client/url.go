package client

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// An Endpoint is a kind of WebSocket endpoint.
type Endpoint string

// The endpoints. Echo stands for /ws/test/ and for every other path: the session passes
// frames on without interpreting them.
const (
	Echo     Endpoint = "test"
	Chat     Endpoint = "chat"
	Location Endpoint = "location"
	Inbox    Endpoint = "inbox"
)

// EndpointOf returns the endpoint of a URL, by its path.
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
	case Inbox:
		return Inbox
	default:
		return Echo
	}
}

// SocketURL parses a ws, wss, http or https URL and returns it as a ws or wss URL. Its
// errors never contain the URL, which may hold a token.
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
		if u.Scheme != "" {
			return nil, fmt.Errorf("the URL must begin with ws://, wss://, http:// or https://; its scheme is %s", u.Scheme)
		}
		return nil, errors.New("the URL must begin with ws://, wss://, http:// or https://")
	}
	switch {
	case u.Host == "":
		return nil, errors.New("the URL has no host")
	case u.User != nil:
		return nil, errors.New("a WebSocket URL cannot contain a user or password")
	}
	u.Fragment = ""
	return u, nil
}

// BaseURL returns the http or https URL of the server of a WebSocket URL: the part before
// /ws/, without a trailing slash.
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

// target returns the URL to dial, including the query parameters of the options.
func (o Options) target() (*url.URL, error) {
	u, err := SocketURL(o.URL)
	if err != nil {
		return nil, err
	}
	q := u.Query()
	if o.Classic {
		q.Set("token", o.Token)
		u.RawQuery = q.Encode()
		return u, nil
	}
	q.Set("v", "1") // else a server with --classic-clients takes the client for one of the predecessor's
	if o.Since != nil {
		q.Set("since", strconv.FormatInt(*o.Since, 10))
		if o.SinceID != "" {
			q.Set("id", o.SinceID)
		}
	}
	if o.LastRef != "" {
		q.Set("last_ref", o.LastRef)
	}
	if o.LastCode != 0 {
		q.Set("last_code", strconv.Itoa(o.LastCode))
	}
	u.RawQuery = q.Encode()
	return u, nil
}
