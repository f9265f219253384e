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

// loginTimeout leaves time for the password hash, which may have to wait in the server's
// queue.
const loginTimeout = 15 * time.Second

// Tokens is the result of a sign-in.
type Tokens struct {
	AccessToken string `json:"access_token"`
	// RefreshToken renews the access token once. It is empty if the server gives none.
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int    `json:"expires_in"` // seconds
	User         User   `json:"user"`
	// Received is when the response arrived, by the client's clock.
	Received time.Time `json:"-"`
}

// A User is the user who signed in.
type User struct {
	ID    int64  `json:"id"`
	Email string `json:"email"`
	Role  string `json:"role"`
}

// UnmarshalJSON takes the id as a number, as roomspa writes it, or as a string, as the
// predecessor does where it signs users in.
func (u *User) UnmarshalJSON(text []byte) error {
	var in struct {
		ID          json.Number `json:"id"`
		Email, Role string
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return fmt.Errorf("user: %w", err)
	}
	id, err := in.ID.Int64()
	if err != nil {
		return fmt.Errorf("user: id: %w", err)
	}
	*u = User{ID: id, Email: in.Email, Role: in.Role}
	return nil
}

// RoomOf returns the room of two users as it is written in a path: "1/2/", the customer
// first. It returns an error unless one is a customer and the other a therapist.
func RoomOf(one, other User) (string, error) {
	customer, therapist := one, other
	if customer.Role == "therapist" {
		customer, therapist = therapist, customer
	}
	if customer.Role != "customer" || therapist.Role != "therapist" {
		return "", fmt.Errorf("a room needs a customer and a therapist, but user %d is a %s and user %d is a %s", one.ID, one.Role, other.ID, other.Role)
	}
	return fmt.Sprintf("%d/%d/", customer.ID, therapist.ID), nil
}

// Credentials are what a user signs in with.
type Credentials struct {
	// BaseURL is the http or https URL of the server, or the ws or wss URL of one of its
	// endpoints.
	BaseURL    string
	Identifier string // email or phone
	Password   string
	// HTTP sends the requests; nil uses a client that keeps no connections.
	HTTP *http.Client
}

// Login signs in. The error is a *[StatusError] if the server refused.
func (c Credentials) Login(ctx context.Context) (Tokens, error) {
	base, err := BaseURL(c.BaseURL)
	if err != nil {
		return Tokens{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	body, err := json.Marshal(map[string]string{"identifier": c.Identifier, "password": c.Password})
	if err != nil {
		return Tokens{}, fmt.Errorf("sign in: encode the request: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/login/", bytes.NewReader(body))
	if err != nil {
		return Tokens{}, fmt.Errorf("sign in: %w", err)
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
		return Tokens{}, newStatusError(response)
	}
	return readTokens(response)
}

func readTokens(response *http.Response) (Tokens, error) {
	t := Tokens{Received: time.Now()}
	raw, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return Tokens{}, fmt.Errorf("sign in: read the response: %w", err)
	}
	if err := json.Unmarshal(raw, &t); err != nil || t.AccessToken == "" {
		kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
		return Tokens{}, fmt.Errorf("sign in: the response (%s) has no access_token; check that the URL is a roomspa server's", strings.ToLower(kind))
	}
	return t, nil
}
