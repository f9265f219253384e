package dev

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
)

// A Report describes a running deployment. `roomspa dev --json` prints it.
type Report struct {
	ConsoleURL  string          `json:"console_url"` // with the sign-in of two demo users, for a browser
	URL         string          `json:"url"`
	Replicas    []ReplicaReport `json:"replicas"`
	DatabaseURL string          `json:"database_url"`
	RedisURL    string          `json:"redis_url"`
	JWTSecret   string          `json:"jwt_secret"`
	Users       []UserReport    `json:"users"` // at most 10 of each role
}

// A ReplicaReport describes a replica.
type ReplicaReport struct {
	URL    string `json:"url"`
	OpsURL string `json:"ops_url"`
	PID    int    `json:"pid"`
}

// A UserReport describes a demo user.
type UserReport struct {
	ID          room.UserID `json:"id"`
	Email       string      `json:"email"`
	Password    string      `json:"password"`
	Role        room.Role   `json:"role"`
	AccessToken string      `json:"access_token"`
}

func (e *environment) newReport() (*Report, error) {
	address := "http://" + e.front.ln.Addr().String()
	r := &Report{
		ConsoleURL: address + "/console/#demo=" + Demo(1).Email + "," + Demo(2).Email + "," + Password,
		URL:        address, DatabaseURL: e.postgres.URL(database),
		RedisURL: e.redis.URL(), JWTSecret: e.secret,
	}
	for _, p := range e.replicas {
		r.Replicas = append(r.Replicas, ReplicaReport{URL: "http://" + p.Addr(), OpsURL: "http://" + p.opsAddr(), PID: p.PID()})
	}
	for id := range room.UserID(2 * min(e.options.Users, 10)) {
		u := Demo(id + 1)
		token, _, err := e.keys.Mint(auth.Access, u.ID, time.Now(), TokenTTL)
		if err != nil {
			return nil, err
		}
		r.Users = append(r.Users, UserReport{ID: u.ID, Email: u.Email, Password: Password, Role: u.Role, AccessToken: token})
	}
	return r, nil
}

var text = template.Must(template.New("report").Parse(`
  Open this in a browser:  {{.ConsoleURL}}

roomspa is running: {{len .Replicas}} replicas with a private Postgres and Redis.

  Address      {{.URL}}
  Fleet        {{(index .Replicas 0).OpsURL}}/console/
{{- range .Replicas}}
  Replica      {{.URL}}   ops {{.OpsURL}}/readyz   pid {{.PID}}
{{- end}}
  Postgres     {{.DatabaseURL}}
  Redis        {{.RedisURL}}
  Token secret {{.JWTSecret}}
  Sign-in      {{range $i, $u := .Users}}{{if lt $i 4}}{{if $i}}, {{end}}{{$u.Email}}{{else if eq $i 4}}, …{{end}}{{end}} (password {{(index .Users 0).Password}})

Chat in the terminal: run each of these commands in its own terminal, then type.

  {{.Command}} connect {{.WS}}/ws/chat/1/2/ --token {{(index .Users 0).AccessToken}}
  {{.Command}} connect {{.WS}}/ws/chat/1/2/ --token {{(index .Users 1).AccessToken}}

Location:  the same with /ws/location/1/2/; type 52.52,13.405
Test all:  {{.Command}} connect --smoke {{.URL}}
Look in:   {{.Command}} ctl top --ops {{(index .Replicas 0).OpsURL}}
           {{.Command}} ctl connections --ops {{(index .Replicas 0).OpsURL}}
           {{.Command}} ctl trace --user 1 --ops {{(index .Replicas 0).OpsURL}}
Break it:  kill -9 {{(index .Replicas 0).PID}}   (both clients reconnect and miss nothing)

Ctrl-C stops everything. The next start uses the same data, unless it is run with --reset.
`))

// report prints the report.
func (e *environment) report() error {
	r, err := e.newReport()
	if err != nil {
		return err
	}
	if e.options.JSON {
		if err := json.NewEncoder(e.options.Out).Encode(r); err != nil {
			return fmt.Errorf("print the report: %w", err)
		}
		return nil
	}
	err = text.Execute(e.options.Out, struct {
		*Report
		WS, Command string
	}{r, "ws" + strings.TrimPrefix(r.URL, "http"), e.options.Command})
	if err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	return nil
}
