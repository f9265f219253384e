package app

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/roomspa/roomspa/internal/api"
	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/handshake"
	"github.com/roomspa/roomspa/internal/logging"
	"github.com/roomspa/roomspa/internal/problem"
	"github.com/roomspa/roomspa/internal/revocation"
)

// route sends WebSocket paths to the handshake by their raw text: a ServeMux
// would redirect some of them, and WebSocket clients follow no redirects.
func route(sockets, plain http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.EscapedPath(); {
		case path == "/ws" || strings.HasPrefix(path, "/ws/"):
			sockets.ServeHTTP(w, r)
		case r.Header.Get("Sec-Websocket-Key") != "": // somebody looks for a socket, and is to find the cause in the log
			sockets.ServeHTTP(w, r)
		default:
			plain.ServeHTTP(w, r)
		}
	})
}

// plain sends everything else to whom it is for, by its raw text too.
func (a *App) plain(keys *auth.Keys, revoker *revocation.Revoker, who api.Who, reg prometheus.Registerer) http.Handler {
	o, bearer := &a.options, api.Bearer{Tokens: keys, Users: a.db}
	login := api.NewLogin(api.LoginOptions{
		Accounts: a.db, Passwords: a.passwords, Keys: keys, Log: a.log, Who: who,
		Throttle: a.redis.Throttle, Limits: o.login(), Metrics: reg, AccessTTL: o.AccessTokenTTL, RefreshTTL: o.RefreshTokenTTL,
	})
	signIn := api.NewSignIn(api.SignInOptions{
		Keys: keys, Users: a.db, Store: a.db, Revocations: revoker, Log: a.log, Who: who, Metrics: reg,
		AccessTTL: o.AccessTokenTTL, RefreshTTL: o.RefreshTokenTTL,
	})
	ticket := api.NewTicket(api.TicketOptions{Bearer: bearer, Tickets: a.redis.Tickets, Throttle: a.redis.Throttle, Log: a.log, Who: who})
	history := api.NewHistory(api.HistoryOptions{Bearer: bearer, Store: a.db, Log: a.log, Who: who})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath()
		switch strings.TrimSuffix(path, "/") {
		case "/login":
			login.ServeHTTP(w, r)
		case "/token/refresh":
			signIn.Refresh(w, r)
		case "/logout":
			signIn.Logout(w, r)
		case "/api/ticket":
			ticket.ServeHTTP(w, r)
		default:
			if path == "/api/conversations" || strings.HasPrefix(path, "/api/conversations/") {
				history.ServeHTTP(w, r)
				return
			}
			ref, remote := who(r)
			logging.Component(a.log, slog.LevelWarn, "HTTP", "Refused: 404 no_such_path", slog.String("ref", ref), slog.String("remote", remote))
			problem.Problem{
				Status: http.StatusNotFound, Code: "no_such_path", Detail: "There is nothing here.", Ref: ref,
				More: map[string]any{"paths": append(slices.Clone(api.Paths), handshake.Paths...)},
			}.Write(w)
		}
	})
}

func (o *Options) login() api.LoginLimits {
	return api.LoginLimits{AccountAddress: o.LoginPerAccountAddress, Address: o.LoginPerAddress, Account: o.LoginPerAccount}
}

// jwks opens the key set; without one it has no keys.
// secrets returns the own keys, and what keeps them at what their file says. An error
// names the option.
func (o *Options) secrets(log *slog.Logger, reg prometheus.Registerer) (*auth.SecretFile, *auth.Keys, error) {
	file, keys, err := auth.OpenSecretFile(o.JWTSecretFile, o.JWTSecrets, log, reg)
	switch {
	case err == nil:
		return file, keys, nil
	case o.JWTSecretFile != "":
		return nil, nil, fmt.Errorf("--jwt-secret-file: %w", err)
	}
	return nil, nil, fmt.Errorf("--jwt-secret: %w", err)
}

func (o *Options) jwks(log *slog.Logger, reg prometheus.Registerer) (*auth.JWKS, error) {
	return auth.NewJWKS(auth.JWKSOptions{Source: o.JWKS, Issuer: o.JWKSIssuer, Audience: o.JWKSAudience}, log, reg)
}
