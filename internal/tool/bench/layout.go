package bench

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/tool/client"
)

// A Seat is the place of one user in one room, with a token of that user.
type Seat struct {
	Room  room.Room
	Token string
}

// ParseSeats parses lines of a customer's id, a therapist's id and a token of one of
// the two. It skips empty lines and lines that begin with #. Its errors never contain a
// token.
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
			return nil, fmt.Errorf("line %d has %d fields, want 3: customer_id therapist_id token", line, len(f))
		}
		customer, ok := room.ParseUserID(f[0])
		therapist, ok2 := room.ParseUserID(f[1])
		if !ok || !ok2 {
			return nil, fmt.Errorf("line %d does not begin with two user ids", line)
		}
		seats = append(seats, Seat{room.Room{Customer: customer, Therapist: therapist}, f[2]})
	}
	if len(seats) == 0 {
		return nil, errors.New("the file has no line of the form: customer_id therapist_id token")
	}
	return seats, nil
}

// newRunID returns the random prefix of a run's client_message_ids.
func newRunID() string { return "b" + strings.ToLower(rand.Text()[:8]) }

// tokenSlack is how long a token is valid beyond the planned end of the run.
const tokenSlack = 10 * time.Minute

// assignSockets spreads the sockets over the rooms, the users and the URLs. Customer
// and therapist alternate within a room.
func (r *run) assignSockets() error {
	bases := make([]string, len(r.o.URLs))
	for i, given := range r.o.URLs {
		u, err := client.SocketURL(given)
		if err != nil {
			return fmt.Errorf("URL %d: %w", i+1, err)
		}
		u.Path, u.RawQuery = strings.TrimRight(u.Path, "/"), ""
		bases[i] = u.String()
	}
	newSocket, err := r.socketFactory()
	if err != nil {
		return err
	}
	for range r.o.Rooms {
		r.groups = append(r.groups, &group{run: r})
	}
	for i := range r.o.Sockets {
		g, place := i%r.o.Rooms, i/r.o.Rooms
		s, err := newSocket(g, place)
		if err != nil {
			return err
		}
		s.run, s.group, s.place = r, r.groups[g], place
		s.url = fmt.Sprintf("%s/ws/%s/%d/%d/?v=1", bases[(g+place)%len(bases)], r.o.Kind, s.room.Customer, s.room.Therapist)
		s.group.sockets = append(s.group.sockets, s)
		r.sockets = append(r.sockets, s)
	}
	for _, g := range r.groups {
		senders := g.sockets[:min(2, len(g.sockets))]
		if r.o.Rooms == 1 && len(g.sockets) > 2 {
			senders = senders[:1] // a fan-out
		}
		for _, s := range senders {
			s.sender = &sender{socket: s, group: g, index: len(r.senders), received: make([]sequence, len(g.sockets)), inFlight: -1}
			g.senders = append(g.senders, s.sender)
			r.senders = append(r.senders, s.sender)
		}
	}
	return nil
}

// A socketFactory makes the socket for a place in a group.
type socketFactory func(g, place int) (*socket, error)

func (r *run) socketFactory() (socketFactory, error) {
	if len(r.o.Seats) > 0 {
		return r.seatedSockets()
	}
	pairs := int64(r.o.Last-r.o.First+1) / 2
	if r.o.First < 1 || pairs < 1 {
		return nil, errors.New("the range of users must hold two ids or more, as in 1-2000")
	}
	if int64(r.o.Rooms) > pairs*pairs {
		return nil, fmt.Errorf("%d customers and %d therapists have %d rooms together, but %d are wanted: give a wider range of users",
			pairs, pairs, pairs*pairs, r.o.Rooms)
	}
	life := r.o.Warm + r.o.For + r.o.Drain + tokenSlack
	return func(g, place int) (*socket, error) {
		c, t := int64(g)%pairs, (int64(g)+int64(g)/pairs)%pairs
		s := &socket{room: room.Room{Customer: r.o.First + room.UserID(2*c), Therapist: r.o.First + room.UserID(2*t+1)}}
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

// seatedSockets makes sockets from Options.Seats.
func (r *run) seatedSockets() (socketFactory, error) {
	index := map[room.Room]int{}
	var seats [][]Seat // by room
	for _, s := range r.o.Seats {
		g, ok := index[s.Room]
		if !ok {
			g = len(seats)
			index[s.Room], seats = g, append(seats, nil)
		}
		seats[g] = append(seats[g], s)
	}
	if len(seats) < r.o.Rooms {
		return nil, fmt.Errorf("the tokens are for %d rooms, but %d are wanted", len(seats), r.o.Rooms)
	}
	return func(g, place int) (*socket, error) {
		seat := seats[g][place%len(seats[g])]
		user := room.UserID(client.UserOf(seat.Token))
		if user != seat.Room.Customer && user != seat.Room.Therapist {
			return nil, fmt.Errorf("the token for customer %d and therapist %d belongs to user %d", seat.Room.Customer, seat.Room.Therapist, user)
		}
		return &socket{room: seat.Room, user: user, token: func() (string, error) { return seat.Token, nil }}, nil
	}, nil
}
