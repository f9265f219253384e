package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// classicTime is the form of times in the answers of the predecessor.
const classicTime = "2006-01-02T15:04:05.000000Z"

// A person is a user in the answers of the predecessor.
type person struct {
	ID    room.UserID `json:"id"`
	Name  string      `json:"name"`
	Email *string     `json:"email"`
}

// A classicConversation is a conversation in the answers of the predecessor.
type classicConversation struct {
	ID                  int64           `json:"id"`
	Participants        []room.UserID   `json:"participants"`
	ParticipantsDetails []person        `json:"participants_details"`
	LastMessage         *int64          `json:"last_message"`
	LastMessageContent  *classicContent `json:"last_message_content"`
	UnreadCount         int             `json:"unread_count"`
	UpdatedAt           string          `json:"updated_at"`
	CreatedAt           string          `json:"created_at"`
	IsActive            bool            `json:"is_active"`
	Title               *string         `json:"title"`
	OtherParticipant    *person         `json:"other_participant"`
}

// A classicContent is a message in the answers of the predecessor.
type classicContent struct {
	ID            int64           `json:"id"`
	Sender        room.UserID     `json:"sender"`
	SenderDetails person          `json:"sender_details"`
	Receiver      room.UserID     `json:"receiver"`
	Content       string          `json:"content"`
	IsRead        bool            `json:"is_read"`
	CreatedAt     string          `json:"created_at"`
	ReadAt        *string         `json:"read_at"`
	MessageType   string          `json:"message_type"`
	Metadata      json.RawMessage `json:"metadata"`
}

// list serves GET /chat/conversations/: all conversations of the user in one list. Support has
// none.
func (c *classic) list(e *exchange, user *room.User) (any, string, *failure) {
	list := []classicConversation{}
	var behind *room.Place
	for more := true; more; {
		var found []room.Summary
		var err error
		if found, more, err = c.store.Summaries(e.r.Context(), user.ID, behind, frame.MaxHistoryLimit, frame.MaxPage); err != nil {
			return nil, "", databaseFailure(err)
		}
		if len(found) == 0 {
			break
		}
		page, fail := c.describe(e, user, found)
		if fail != nil {
			return nil, "", fail
		}
		if list = append(list, page...); more {
			behind = new(room.Place)
			*behind = found[len(found)-1].Place()
			if !e.visit.take(pageBytes) {
				return nil, "", tooBusy()
			}
		}
	}
	return list, fmt.Sprintf("Listed: %s, %d conversations", e.user, len(list)), nil
}

// describe returns the conversations of a page.
func (c *classic) describe(e *exchange, user *room.User, found []room.Summary) ([]classicConversation, *failure) {
	ids := make([]room.ID, len(found))
	var users []room.UserID
	for i := range found {
		ids[i] = found[i].ID
		users = append(users, found[i].Room.Customer, found[i].Room.Therapist)
		if found[i].Last != nil {
			users = append(users, found[i].Last.Sender)
		}
	}
	details, err := c.store.ConversationDetails(e.r.Context(), user.ID, ids)
	if err != nil {
		return nil, databaseFailure(err)
	}
	people, fail := c.people(e, users)
	if fail != nil {
		return nil, fail
	}
	page := make([]classicConversation, 0, len(found))
	for i := range found {
		if d := details[found[i].ID]; d != nil {
			page = append(page, describeConversation(&found[i], d, user.ID, people))
		}
	}
	return page, nil
}

// people returns users by id, without repeating one in the query.
func (c *classic) people(e *exchange, ids []room.UserID) (map[room.UserID]room.Person, *failure) {
	slices.Sort(ids)
	people, err := c.store.People(e.r.Context(), slices.Compact(ids))
	if err != nil {
		return nil, databaseFailure(err)
	}
	return people, nil
}

func describeConversation(s *room.Summary, d *room.Details, user room.UserID, people map[room.UserID]room.Person) classicConversation {
	conversation := classicConversation{
		ID: d.Number, UnreadCount: d.Unread, IsActive: true,
		UpdatedAt: s.Place().At.UTC().Format(classicTime), CreatedAt: s.CreatedAt.UTC().Format(classicTime),
		Participants: []room.UserID{}, ParticipantsDetails: []person{},
	}
	for _, id := range []room.UserID{d.Room.Customer, d.Room.Therapist} {
		if _, exists := people[id]; !exists {
			continue
		}
		p := describePerson(id, people)
		conversation.Participants = append(conversation.Participants, id)
		conversation.ParticipantsDetails = append(conversation.ParticipantsDetails, p)
		if id != user {
			conversation.OtherParticipant = &p
		}
	}
	if m := s.Last; m != nil {
		readAt := time.Time{}
		if m.Seq == d.LastSeq {
			readAt = d.LastReadAt
		}
		content := describeMessage(m, d, readAt, people)
		conversation.LastMessage, conversation.LastMessageContent = &content.ID, &content
	}
	return conversation
}

// describePerson returns a user. One who does not exist has an empty name.
func describePerson(id room.UserID, people map[room.UserID]room.Person) person {
	p := person{ID: id, Name: people[id].Name}
	if email := people[id].Email; email != "" {
		p.Email = &email
	}
	return p
}

// describeMessage returns a message. readAt is the time at which the predecessor marked it as
// read, or zero; later marks are those of the receiver's cursor.
func describeMessage(m *room.Message, d *room.Details, readAt time.Time, people map[room.UserID]room.Person) classicContent {
	receiver := d.Room.Receiver(m.Sender)
	reading := d.Customer
	if receiver == d.Room.Therapist {
		reading = d.Therapist
	}
	content := classicContent{
		ID: m.Number, Sender: m.Sender, SenderDetails: describePerson(m.Sender, people), Receiver: receiver, Content: m.Text,
		CreatedAt: m.At.UTC().Format(classicTime), MessageType: m.Type, Metadata: json.RawMessage(m.Metadata),
	}
	if content.MessageType == "" {
		content.MessageType = room.TypeText
	}
	if m.Metadata == "" {
		content.Metadata = json.RawMessage("null")
	}
	if readAt.IsZero() && m.Seq <= reading.Seq {
		readAt = reading.At
	}
	if !readAt.IsZero() {
		at := readAt.UTC().Format(classicTime)
		content.IsRead, content.ReadAt = true, &at
	}
	return content
}
