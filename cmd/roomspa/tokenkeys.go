package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/auth"
)

// tokenKeys says which keys verify a token; they may be left out.
type tokenKeys struct {
	JWTSecrets []string `name:"jwt-secret" sep:"," placeholder:"SECRET" help:"The secrets of the server. Without any key the signature is not looked at."`
	JWKS       string   `name:"jwks" placeholder:"URL|FILE" help:"The server's JWK Set, if it has one. A URL is asked."`
}

// keys returns nil where there are none.
func (c *tokenKeys) keys(ctx context.Context) (*auth.Keys, error) {
	if len(c.JWTSecrets) == 0 && c.JWKS == "" {
		return nil, nil
	}
	keys := new(auth.Keys)
	if len(c.JWTSecrets) > 0 {
		var err error
		if keys, err = auth.NewKeys(c.JWTSecrets); err != nil {
			return nil, &exitError{2, fmt.Errorf("--jwt-secret: %w", err)}
		}
	}
	set, err := auth.NewJWKS(auth.JWKSOptions{Source: c.JWKS}, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err == nil {
		_, err = set.Check(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("--jwks: %w", err)
	}
	return keys.With(set), nil
}
