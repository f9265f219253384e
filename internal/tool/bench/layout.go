package bench

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// A Seat is one user's place in one room, with a token for it.
type Seat struct {
	Room  room.Room
	Token string
}

// ParseSeats reads lines of a customer's id, a therapist's id and the token of one
// of the two. Empty lines and those that begin with # are skipped. No error holds
// a token.
func ParseSeats(text string) ([]Seat, error) {
	var seats []Seat
	line := 0
	for l := range strings.Lines(text) {
		line++
		f := strings.Fields(l)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		if len(f) != 3 {
			return nil, fmt.Errorf("line %d has %d words, want: customer_id therapist_id token", line, len(f))
		}
		customer, ok := room.ParseUserID(f[0])
		therapist, ok2 := room.ParseUserID(f[1])
		if !ok || !ok2 {
			return nil, fmt.Errorf("line %d does not begin with two ids", line)
		}
		seats = append(seats, Seat{room.Room{Customer: customer, Therapist: therapist}, f[2]})
	}
	if len(seats) == 0 {
		return nil, errors.New("there is no line in it: customer_id therapist_id token")
	}
	return seats, nil
}

// newID returns what this run's messages begin with.
func newID() string { return "b" + strings.ToLower(rand.Text()[:8]) }

// tokenSlack is how long a minted token lives beyond the planned end.
const tokenSlack = 10 * time.Minute

// layOut decides who sits where: the sockets of a room are its customer's and its
// therapist's in turn, each on the next URL.
func (r *run) layOut() error {
	bases := make([]string, len(r.o.URLs))
	for i, given := range r.o.URLs {
		u, err := client.SocketURL(given)
		if err != nil {
			return fmt.Errorf("URL %d: %w", i+1, err)
		}
		u.Path, u.RawQuery = strings.TrimRight(u.Path, "/"), ""
		bases[i] = u.String()
	}
	seat, err := r.seating()
	if err != nil {
		return err
	}
	for range r.o.Rooms {
		r.groups = append(r.groups, &group{run: r})
	}
	for i := range r.o.Sockets {
		g, place := i%r.o.Rooms, i/r.o.Rooms
		s, err := seat(g, place)
		if err != nil {
			return err
		}
		s.group, s.place = r.groups[g], place
		s.url = bases[(g+place)%len(bases)] + "/ws/" + r.o.Kind + "/" +
			strconv.FormatInt(int64(s.room.Customer), 10) + "/" + strconv.FormatInt(int64(s.room.Therapist), 10) + "/"
		s.group.sockets = append(s.group.sockets, s)
		r.sockets = append(r.sockets, s)
	}
	for _, g := range r.groups {
		speakers := g.sockets[:min(2, len(g.sockets))]
		if r.o.Rooms == 1 && len(g.sockets) > 2 {
			speakers = speakers[:1] // one speaks, all hear
		}
		for _, s := range speakers {
			s.sender = &sender{socket: s, group: g, index: len(r.senders), streams: make([]stream, len(g.sockets)), flight: -1}
			g.senders = append(g.senders, s.sender)
			r.senders = append(r.senders, s.sender)
		}
	}
	return nil
}

// seating returns who takes which place of which room.
func (r *run) seating() (func(g, place int) (*socket, error), error) {
	if len(r.o.Seats) > 0 {
		return r.given()
	}
	pairs := int64(r.o.Last-r.o.First+1) / 2
	if r.o.First < 1 || pairs < 1 {
		return nil, errors.New("the users are a range of two ids or more, as in 1-2000")
	}
	if int64(r.o.Rooms) > pairs*pairs {
		return nil, fmt.Errorf("%d customers and %d therapists have %d rooms, not %d: give a wider range of users", pairs, pairs, pairs*pairs, r.o.Rooms)
	}
	life := r.o.Warm + r.o.For + r.o.Drain + tokenSlack
	return func(g, place int) (*socket, error) {
		c, t := int64(g)%pairs, (int64(g)+int64(g)/pairs)%pairs
		s := &socket{run: r, room: room.Room{Customer: r.o.First + room.UserID(2*c), Therapist: r.o.First + room.UserID(2*t+1)}}
		s.user = s.room.Customer
		if place%2 == 1 {
			s.user = s.room.Therapist
		}
		s.token = func() (string, error) {
			token, _, err := r.o.Keys.Mint(auth.Access, s.user, time.Now(), life)
			return token, err
		}
		return s, nil
	}, nil
}

// given seats by the tokens of a file.
func (r *run) given() (func(g, place int) (*socket, error), error) {
	rooms := map[room.Room]int{}
	var seats [][]Seat
	for _, s := range r.o.Seats {
		g, ok := rooms[s.Room]
		if !ok {
			g = len(seats)
			rooms[s.Room], seats = g, append(seats, nil)
		}
		seats[g] = append(seats[g], s)
	}
	if len(seats) < r.o.Rooms {
		return nil, fmt.Errorf("the tokens are for %d rooms, not %d", len(seats), r.o.Rooms)
	}
	return func(g, place int) (*socket, error) {
		of := seats[g][place%len(seats[g])]
		user := room.UserID(client.UserOf(of.Token))
		if user != of.Room.Customer && user != of.Room.Therapist {
			return nil, fmt.Errorf("a token for room %d %d is of user %d", of.Room.Customer, of.Room.Therapist, user)
		}
		return &socket{run: r, room: of.Room, user: user, token: func() (string, error) { return of.Token, nil }}, nil
	}, nil
}
