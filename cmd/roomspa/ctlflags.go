package main

import (
	"cmp"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/roomspa/roomspa/internal/tool/ctl"
)

// defaultOps is the ops listener of a replica on this host, or behind kubectl port-forward.
const defaultOps = "http://127.0.0.1:9090"

// replicaFlags tell which replica to ask.
type replicaFlags struct {
	Ops string `name:"ops" default:"${ops}" placeholder:"URL" group:"Connection" help:"Ops listener of any replica. Default: ${ops}, which is where kubectl port-forward deploy/roomspa 9090 puts it."`
	opsFlags
}

func (f *replicaFlags) client() (*ctl.Client, error) {
	host, _ := os.Hostname() // without it the name is shorter
	c := &ctl.Client{URL: f.Ops, Token: f.OpsToken, User: cmp.Or(os.Getenv("USER"), "unknown") + "@" + cmp.Or(host, "unknown")}
	if err := c.Valid(); err != nil {
		return nil, &exitError{2, err}
	}
	return c, nil
}

// subjectFlags choose sockets by what they are about.
type subjectFlags struct {
	User     int64  `placeholder:"ID" env:"-" group:"Filter" help:"Sockets of this user."`
	Room     string `placeholder:"1/2" env:"-" group:"Filter" help:"Sockets of this room: the ids of its customer and its therapist, as in 1/2 or chat_1_2."`
	Ref      string `placeholder:"REF" env:"-" group:"Filter" help:"The socket of this reference."`
	Endpoint string `placeholder:"NAME" env:"-" group:"Filter" help:"Sockets of this endpoint: chat, location, inbox or test."`
	Dialect  string `placeholder:"NAME" env:"-" group:"Filter" help:"Sockets of this dialect: roomspa, or classic (apps of the predecessor)."`
}

func (f *subjectFlags) query() url.Values {
	q := url.Values{}
	set(q, "user", number(f.User))
	set(q, "room", f.Room)
	set(q, "ref", f.Ref)
	set(q, "endpoint", f.Endpoint)
	set(q, "dialect", f.Dialect)
	return q
}

// filterFlags choose sockets.
type filterFlags struct {
	subjectFlags
	Replica  string        `placeholder:"NAME" env:"-" group:"Filter" help:"Sockets on this replica."`
	Address  string        `placeholder:"CIDR" env:"-" group:"Filter" help:"Sockets of clients with this address, or an address in this range."`
	Client   string        `placeholder:"TEXT" env:"-" group:"Filter" help:"Sockets of clients whose name contains this text, as in okhttp or Chrome."`
	State    string        `placeholder:"NAME" env:"-" group:"Filter" help:"Sockets in this state: handshake, open or closing."`
	MinAge   time.Duration `placeholder:"TIME" env:"-" group:"Filter" help:"Sockets that have been open for so long, as in 90s or 2h."`
	MinIdle  time.Duration `placeholder:"TIME" env:"-" group:"Filter" help:"Sockets without a byte in either direction for so long."`
	MinRTT   time.Duration `name:"min-rtt" placeholder:"TIME" env:"-" group:"Filter" help:"Sockets whose last ping took so long, or is not answered after it."`
	MinQueue int64         `placeholder:"N" env:"-" group:"Filter" help:"Sockets with so many messages waiting in either direction."`
	MinHeld  int64         `placeholder:"BYTES" env:"-" group:"Filter" help:"Sockets that hold so many bytes of the replica's memory."`
}

func (f *filterFlags) query() url.Values {
	q := f.subjectFlags.query()
	set(q, "replica", f.Replica)
	set(q, "address", f.Address)
	set(q, "client", f.Client)
	set(q, "state", f.State)
	set(q, "min_age", duration(f.MinAge))
	set(q, "min_idle", duration(f.MinIdle))
	set(q, "min_rtt", duration(f.MinRTT))
	set(q, "min_queue", number(f.MinQueue))
	set(q, "min_held", number(f.MinHeld))
	return q
}

func set(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}

func number(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func duration(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}
