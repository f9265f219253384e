package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/roomspa/roomspa/internal/receipt"
	"github.com/roomspa/roomspa/internal/room"
)

// markRead serves POST /chat/conversations/read/: it moves the cursor of the user to the last
// message.
func (c *classic) markRead(e *exchange, user *room.User) (any, string, *failure) {
	text, fail := conversationField(e.w, e.r)
	if fail != nil {
		return nil, "", fail
	}
	number, fail := conversationNumber(text)
	if fail != nil {
		return nil, "", fail
	}
	d, fail := c.conversationOf(e, user, number)
	if fail != nil {
		return nil, "", fail
	}
	reading := d.Customer
	if user.ID == d.Room.Therapist {
		reading = d.Therapist
	}
	if reading.Seq < d.LastSeq {
		target := receipt.Target{Conversation: d.ID, Room: d.Room, User: user.ID}
		if err := waitStored(e.r.Context(), c.receipts, target, room.Cursor{Read: d.LastSeq}); err != nil {
			return nil, "", databaseFailure(err)
		}
	}
	answer := map[string]string{"message": fmt.Sprintf("%d messages marked as read", d.Unread)}
	return answer, fmt.Sprintf("Marked as read: %s, %d messages of conversation %s", e.user, d.Unread, d.ID), nil
}

// conversationField returns the member conversation_id of a body that is JSON, form-encoded or
// multipart, as text. It is empty if the predecessor counted it as missing.
func conversationField(w http.ResponseWriter, r *http.Request) (string, *failure) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err == nil && media == "application/json":
		return conversationMember(r)
	case err == nil && (media == "application/x-www-form-urlencoded" || media == "multipart/form-data"):
		if media == "multipart/form-data" {
			err = r.ParseMultipartForm(maxBody) //nolint:gosec // the body is bounded above
		} else {
			err = r.ParseForm()
		}
		if err != nil {
			return "", unreadBody(err, "Form parse error.")
		}
		if r.MultipartForm != nil {
			_ = r.MultipartForm.RemoveAll()
		}
		return strings.TrimSpace(lastValue(r.PostForm, "conversation_id")), nil
	case r.ContentLength == 0:
		return "", nil
	}
	return "", classicDetail(http.StatusUnsupportedMediaType, "not_json", fmt.Sprintf("Unsupported media type %q in request.", truncate(r.Header.Get("Content-Type"))))
}

// conversationMember reads conversation_id from a JSON body.
func conversationMember(r *http.Request) (string, *failure) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return "", unreadBody(err, "The body was not received completely.")
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return "", nil
	}
	var members map[string]any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&members); err != nil || !json.Valid(body) {
		return "", classicDetail(http.StatusBadRequest, "bad_json", "JSON parse error: the body must be a JSON object.")
	}
	switch value := members["conversation_id"].(type) {
	case nil:
		return "", nil
	case string:
		return strings.TrimSpace(value), nil
	case json.Number:
		n, err := strconv.ParseFloat(value.String(), 64)
		if err == nil && n == 0 {
			return "", nil // Python counts 0 as false
		}
		if err == nil && n == float64(int64(n)) && n < room.MaxID && n > -room.MaxID {
			return strconv.FormatInt(int64(n), 10), nil
		}
		return value.String(), nil
	case bool:
		if !value {
			return "", nil
		}
	}
	return "?", nil // no number
}

func unreadBody(err error, detail string) *failure {
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return classicDetail(http.StatusRequestEntityTooLarge, "too_large", fmt.Sprintf("The body has more than %d bytes.", maxBody))
	}
	return classicDetail(http.StatusBadRequest, "body_unread", detail)
}
