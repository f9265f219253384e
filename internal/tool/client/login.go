package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

// loginTimeout leaves the server time for a password hash behind others in its
// queue.
const loginTimeout = 15 * time.Second

// Tokens is what a sign-in gives.
type Tokens struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"` // seconds
	User         User   `json:"user"`
	// Received is when the answer came, by the client's clock.
	Received time.Time `json:"-"`
}

// A User is the one who signed in.
type User struct {
	ID    int64  `json:"id"`
	Email string `json:"email"`
	Role  string `json:"role"`
}

// RoomOf returns the room of two users as it stands in a path: "1/2/", the customer
// first. An error says that they have none together.
func RoomOf(one, other User) (string, error) {
	customer, therapist := one, other
	if customer.Role == "therapist" {
		customer, therapist = therapist, customer
	}
	if customer.Role != "customer" || therapist.Role != "therapist" {
		return "", fmt.Errorf("a room needs a customer and a therapist, but user %d is a %s and user %d a %s", one.ID, one.Role, other.ID, other.Role)
	}
	return fmt.Sprintf("%d/%d/", customer.ID, therapist.ID), nil
}

// Credentials is how somebody signs in.
type Credentials struct {
	// BaseURL is where the server is: an http or https URL, or the ws or wss URL
	// of one of its endpoints.
	BaseURL    string
	Identifier string // email or phone
	Password   string
	// HTTP makes the requests; nil for a client of its own that keeps no
	// connection.
	HTTP *http.Client
}

// Login signs in. A refusal is a *[Refused] with the server's problem document.
func Login(ctx context.Context, baseURL, identifier, password string) (Tokens, error) {
	return Credentials{BaseURL: baseURL, Identifier: identifier, Password: password}.Login(ctx)
}

// Login signs in. A refusal is a *[Refused] with the server's problem document.
func (c Credentials) Login(ctx context.Context) (Tokens, error) {
	return c.post(ctx, "/login/", map[string]string{"identifier": c.Identifier, "password": c.Password})
}

// Refresh trades a refresh token, which is good once, for new tokens.
func (c Credentials) Refresh(ctx context.Context, refreshToken string) (Tokens, error) {
	return c.post(ctx, "/token/refresh/", map[string]string{"refresh_token": refreshToken})
}

func (c Credentials) post(ctx context.Context, path string, body map[string]string) (Tokens, error) {
	base, err := BaseURL(c.BaseURL)
	if err != nil {
		return Tokens{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	sent, err := json.Marshal(body)
	if err != nil {
		return Tokens{}, fmt.Errorf("encode the request: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, base+path, bytes.NewReader(sent))
	if err != nil {
		return Tokens{}, fmt.Errorf("build the request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	client := c.HTTP
	if client == nil {
		client = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	}
	response, err := client.Do(request)
	if err != nil {
		return Tokens{}, fmt.Errorf("sign in: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return Tokens{}, newRefused(response)
	}
	return readTokens(response)
}

func readTokens(response *http.Response) (Tokens, error) {
	t := Tokens{Received: time.Now()}
	raw, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return Tokens{}, fmt.Errorf("read the answer to the sign-in: %w", err)
	}
	if err := json.Unmarshal(raw, &t); err != nil || t.AccessToken == "" {
		kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
		return Tokens{}, fmt.Errorf("the answer to the sign-in (%s) holds no access_token: is this a roomspa server?", strings.ToLower(kind))
	}
	return t, nil
}
