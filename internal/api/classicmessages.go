package api

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/frame"
	"github.com/roomspa/roomspa/internal/room"
)

// classicPageSize and maxClassicPageSize are the default and the maximum number of messages of a
// page of the predecessor.
const classicPageSize, maxClassicPageSize = 50, 100

// A classicPage is a page of messages in the form of the predecessor, oldest message first.
type classicPage struct {
	Count    int64            `json:"count"`
	Next     *string          `json:"next"`
	Previous *string          `json:"previous"`
	Results  []classicContent `json:"results"`
}

// messages serves GET /chat/messages/. Pages are counted from the oldest message. Seq has no gaps,
// so a page is a range of it.
func (c *classic) messages(e *exchange, user *room.User) (any, string, *failure) {
	query := auth.Query(e.r.URL.RawQuery)
	number, fail := conversationNumber(strings.TrimSpace(lastValue(query, "conversation_id")))
	if fail != nil {
		return nil, "", fail
	}
	d, fail := c.conversationOf(e, user, number)
	if fail != nil {
		return nil, "", fail
	}
	count, size := int64(0), int64(pageSizeOf(query))
	if d.LastSeq >= d.FirstSeq {
		count = d.LastSeq - d.FirstSeq + 1
	}
	pages := max(1, (count+size-1)/size)
	page := pageOf(query, pages)
	if page < 1 || page > pages {
		return nil, "", classicDetail(http.StatusNotFound, "no_such_page", "Invalid page.")
	}
	first := d.FirstSeq + (page-1)*size
	results, fail := c.read(e, d, first, min(first+size-1, d.FirstSeq+count-1))
	if fail != nil {
		return nil, "", fail
	}
	answer := classicPage{Count: count, Results: results}
	if page < pages {
		answer.Next = pageURL(e.r, query, page+1)
	}
	if page > 1 {
		answer.Previous = pageURL(e.r, query, page-1)
	}
	return answer, fmt.Sprintf("User %d read %d messages of conversation %s", user.ID, len(results), d.ID), nil
}

// read returns the messages from first to last. It reads them in steps, because a step is bounded
// by bytes and a page of the predecessor is not.
func (c *classic) read(e *exchange, d *room.Details, first, last int64) ([]classicContent, *failure) {
	results, ctx := []classicContent{}, e.r.Context()
	if first > last {
		return results, nil
	}
	var found []room.Message
	for next := last; next >= first; {
		step, _, err := c.store.Before(ctx, d.ID, next+1, int(next-first+1), frame.MaxPage)
		if err != nil {
			return nil, databaseFailure(err)
		}
		if len(step) == 0 { // deleted meanwhile
			break
		}
		found = append(slices.Clip(step), found...)
		if next = step[0].Seq - 1; next >= first && !e.visit.take(pageBytes) {
			return nil, tooBusy()
		}
	}
	marks, err := c.store.ReadTimes(ctx, d.ID, first, last)
	if err != nil {
		return nil, databaseFailure(err)
	}
	senders := make([]room.UserID, 0, len(found))
	for i := range found {
		senders = append(senders, found[i].Sender)
	}
	people, fail := c.people(e, senders)
	if fail != nil {
		return nil, fail
	}
	for i := range found {
		results = append(results, describeMessage(&found[i], d, marks[found[i].Seq], people))
	}
	return results, nil
}

// lastValue returns the last value of a parameter, which is the one that counts in Django.
func lastValue(query url.Values, name string) string {
	if values := query[name]; len(values) > 0 {
		return values[len(values)-1]
	}
	return ""
}

// conversationNumber reads the number of a conversation. The predecessor failed with a 500 where
// it cannot be read.
func conversationNumber(text string) (int64, *failure) {
	if text == "" {
		return 0, classicMessage(http.StatusBadRequest, "missing conversation_id", "conversation_id is missing.")
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil && strings.Trim(text, "0123456789") == "" {
		return -1, nil // too large to be the number of a conversation
	}
	if err != nil {
		return 0, classicMessage(http.StatusBadRequest, "bad_field conversation_id", "conversation_id is not a number.")
	}
	return n, nil
}

// pageSizeOf returns the parameter page_size, or the default if it is not a positive number.
func pageSizeOf(query url.Values) int {
	n, err := strconv.Atoi(strings.TrimSpace(lastValue(query, "page_size")))
	if err != nil || n < 1 {
		return classicPageSize
	}
	return min(n, maxClassicPageSize)
}

// pageOf returns the parameter page: 1 if it is absent, and 0 if it cannot be read.
func pageOf(query url.Values, pages int64) int64 {
	switch text := strings.TrimSpace(lastValue(query, "page")); text {
	case "":
		if query.Has("page") {
			return 0
		}
		return 1
	case "last":
		return pages
	default:
		n, _ := strconv.ParseInt(text, 10, 64)
		return n
	}
}

// pageURL returns the address of another page: that of the request with another number. It leaves
// a token out.
func pageURL(r *http.Request, query url.Values, page int64) *string {
	other := url.Values{}
	maps.Copy(other, query)
	other.Del("token")
	if other.Del("page"); page > 1 {
		other.Set("page", strconv.FormatInt(page, 10))
	}
	u := url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawQuery: other.Encode()}
	if r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		u.Scheme = "https"
	}
	address := u.String()
	return &address
}
