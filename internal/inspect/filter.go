package inspect

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/session"
	"github.com/roomspa/roomspa/internal/story"
)

// A Filter chooses sockets: those to which everything applies that is set.
type Filter struct {
	User     int64         `json:"user,omitempty"`
	Room     Room          `json:"room,omitzero"`
	Ref      string        `json:"ref,omitempty"`
	Endpoint string        `json:"endpoint,omitempty"` // chat, location, inbox or test
	Dialect  string        `json:"dialect,omitempty"`  // roomspa or classic
	Replica  string        `json:"replica,omitempty"`  // name
	Address  netip.Prefix  `json:"address,omitzero"`   // of the client
	Client   string        `json:"client,omitempty"`   // part of the name of the client's software, in any case
	State    string        `json:"state,omitempty"`    // handshake, open or closing
	MinAge   time.Duration `json:"min_age,omitempty"`
	MinIdle  time.Duration `json:"min_idle,omitempty"`
	MinRTT   time.Duration `json:"min_rtt,omitempty"`
	MinQueue int64         `json:"min_queue,omitempty"` // messages that wait in either direction
	MinHeld  int64         `json:"min_held,omitempty"`  // bytes
}

// A Room is the ids of its two sides, in any order.
type Room struct{ A, B int64 }

// MarshalText implements [encoding.TextMarshaler].
func (r Room) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (r *Room) UnmarshalText(text []byte) (err error) {
	*r, err = parseRoom(string(text))
	return err
}

// String returns the room as in 1/2, or "" for none.
func (r Room) String() string {
	if r == (Room{}) {
		return ""
	}
	return strconv.FormatInt(r.A, 10) + "/" + strconv.FormatInt(r.B, 10)
}

// has reports whether the ids of a path name the room.
func (r Room) has(ids []int64) bool {
	return len(ids) == 2 && (ids[0] == r.A && ids[1] == r.B || ids[0] == r.B && ids[1] == r.A)
}

// roomOf returns the room that a path names.
func roomOf(ids []int64) Room {
	if len(ids) != 2 {
		return Room{}
	}
	return Room{ids[0], ids[1]}
}

// parseRoom reads 1/2, 1_2, or the name of a group of the log, as in chat_1_2.
func parseRoom(s string) (Room, error) {
	if s == "" {
		return Room{}, nil
	}
	if _, ids, found := strings.Cut(s, "_"); found && (strings.HasPrefix(s, "chat_") || strings.HasPrefix(s, "location_")) {
		s = ids
	}
	first, second, found := strings.Cut(strings.ReplaceAll(s, "_", "/"), "/")
	a, ok := room.ParseUserID(first)
	b, also := room.ParseUserID(second)
	if !found || !ok || !also {
		return Room{}, fmt.Errorf("a room is the ids of its customer and its therapist, as in 1/2 or chat_1_2")
	}
	return Room{int64(a), int64(b)}, nil
}

// The values that a filter may have.
var (
	endpoints = []string{"chat", "location", "inbox", "test"}
	dialects  = []string{"roomspa", "classic"}
	states    = []string{session.StateHandshake, session.StateOpen, session.StateClosing}
)

// maxText is the maximum length of a name in a filter, in bytes.
const maxText = 100

// A parser reads parameters. It keeps the first error, which names the parameter.
type parser struct {
	query url.Values
	known []string
	err   error
}

// text returns a parameter. A value of "" means that there is none.
func (p *parser) text(name string, allowed ...string) string {
	p.known = append(p.known, name)
	values := p.query[name]
	if len(values) == 0 {
		return ""
	}
	v := values[0]
	switch {
	case len(values) > 1:
		p.fail(name, "is given more than once")
	case len(v) > maxText:
		p.fail(name, fmt.Sprintf("has more than %d bytes", maxText))
	case v != "" && len(allowed) > 0 && !slices.Contains(allowed, v):
		p.fail(name, "must be "+strings.Join(allowed, ", ")+", not "+strconv.Quote(v))
	}
	return v
}

func (p *parser) fail(name, why string) {
	if p.err == nil {
		p.err = fmt.Errorf("%s: %s", name, why)
	}
}

// number returns a parameter that is a whole number from low to high, or 0 without it.
func (p *parser) number(name string, low, high int64) int64 {
	v := p.text(name)
	if v == "" || p.err != nil {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < low || n > high {
		p.fail(name, fmt.Sprintf("must be a whole number from %d to %d", low, high))
		return 0
	}
	return n
}

// duration returns a parameter that is a duration from low to high, or 0 without it.
func (p *parser) duration(name string, low, high time.Duration) time.Duration {
	v := p.text(name)
	if v == "" || p.err != nil {
		return 0
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < low || d > high {
		p.fail(name, fmt.Sprintf("must be a duration from %v to %v, as in 90s or 10m", low, high))
		return 0
	}
	return d
}

// finish returns the first error. A parameter that nobody has read is one: with a typing error
// it would choose too much.
func (p *parser) finish() error {
	for name := range p.query {
		if !slices.Contains(p.known, name) {
			p.fail(strconv.Quote(name[:min(len(name), maxText)]), "is no parameter here; there are "+cmp.Or(strings.Join(p.known, ", "), "none"))
		}
	}
	return p.err
}

const year = 365 * 24 * time.Hour

// filter reads the parameters of a filter.
func (p *parser) filter() (f Filter) {
	f.User = p.number("user", 1, 1<<53-1)
	var err error
	if f.Room, err = parseRoom(p.text("room")); err != nil {
		p.fail("room", err.Error())
	}
	if f.Ref = p.text("ref"); f.Ref != "" && !story.IsRef(f.Ref) {
		p.fail("ref", "a reference has 16 digits and lower-case letters")
	}
	f.Endpoint, f.Dialect, f.State = p.text("endpoint", endpoints...), p.text("dialect", dialects...), p.text("state", states...)
	f.Replica, f.Client = p.text("replica"), p.text("client")
	if a := p.text("address"); a != "" {
		if f.Address, err = parseAddress(a); err != nil {
			p.fail("address", "must be an address or a range of addresses, as in 203.0.113.7 or 203.0.113.0/24")
		}
	}
	f.MinAge, f.MinIdle, f.MinRTT = p.duration("min_age", 0, year), p.duration("min_idle", 0, year), p.duration("min_rtt", 0, time.Hour)
	f.MinQueue, f.MinHeld = p.number("min_queue", 0, 1<<40), p.number("min_held", 0, 1<<40)
	return f
}

func parseAddress(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(addr.Unmap().WithZone(""), addr.Unmap().BitLen()), nil
	}
	return netip.ParsePrefix(s) //nolint:wrapcheck // only whether it is nil counts
}

// Query returns the parameters of the filter.
func (f *Filter) Query() url.Values {
	q := url.Values{}
	set := func(name, value string, given bool) {
		if given {
			q.Set(name, value)
		}
	}
	set("user", strconv.FormatInt(f.User, 10), f.User != 0)
	set("room", f.Room.String(), f.Room != Room{})
	set("address", f.Address.String(), f.Address.IsValid())
	for name, v := range map[string]string{"ref": f.Ref, "endpoint": f.Endpoint, "dialect": f.Dialect, "replica": f.Replica, "client": f.Client, "state": f.State} {
		set(name, v, v != "")
	}
	for name, v := range map[string]time.Duration{"min_age": f.MinAge, "min_idle": f.MinIdle, "min_rtt": f.MinRTT} {
		set(name, v.String(), v != 0)
	}
	for name, v := range map[string]int64{"min_queue": f.MinQueue, "min_held": f.MinHeld} {
		set(name, strconv.FormatInt(v, 10), v != 0)
	}
	return q
}

// String returns the filter for a log line, as in "user=42 endpoint=chat", or "everything".
func (f *Filter) String() string {
	q := f.Query()
	if len(q) == 0 {
		return "everything"
	}
	text, _ := url.QueryUnescape(strings.ReplaceAll(q.Encode(), "&", " "))
	return text
}

// about reports whether the filter chooses a session by what it is about.
func (f *Filter) about(s *session.Subject) bool {
	classic := f.Dialect == dialects[1]
	return (f.User == 0 || f.User == s.User) && (f.Room == Room{} || f.Room.has(s.IDs)) && (f.Ref == "" || f.Ref == s.Ref) &&
		(f.Endpoint == "" || f.Endpoint == s.Endpoint) && (f.Dialect == "" || classic == s.Classic)
}

// matches reports whether the filter chooses a session of this replica.
func (f *Filter) matches(i *session.Info, now time.Time) bool {
	return f.about(&i.Subject) && (f.State == "" || f.State == i.State) &&
		now.Sub(i.Opened) >= f.MinAge && i.Idle >= f.MinIdle && max(i.RoundTrip, i.PingWait) >= f.MinRTT &&
		i.Queue+int64(i.Received) >= f.MinQueue && i.Held >= f.MinHeld &&
		(f.Client == "" || strings.Contains(strings.ToLower(i.Client), strings.ToLower(f.Client))) &&
		(!f.Address.IsValid() || contains(f.Address, i.Remote))
}

func contains(p netip.Prefix, remote string) bool {
	addr, err := netip.ParseAddr(remote)
	if err != nil {
		with, err := netip.ParseAddrPort(remote)
		if err != nil {
			return false
		}
		addr = with.Addr()
	}
	return p.Contains(addr.Unmap().WithZone(""))
}
