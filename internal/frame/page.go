package frame

import "github.com/roomspa/roomspa/internal/room"

// MaxPage is the maximum size of a page of messages or conversations in bytes. Only a page of
// one message can exceed it.
const MaxPage = 256 << 10

const (
	historyStart = `{"type":"history",`
	pageStart    = `"messages":[`
	pageMore     = `],"has_more":true}`
	pageLast     = `],"has_more":false}`
)

// EncodeHistory returns the history frame of messages, oldest first. It leaves out the oldest
// ones if the frame would exceed MaxPage; then has_more is true.
func EncodeHistory(messages []room.Message, more bool) (page []byte, n int) {
	return appendPage(historyStart+pageStart, messages, more)
}

// EncodeMessages is EncodeHistory for the HTTP API: without the type.
func EncodeMessages(messages []room.Message, more bool) (page []byte, n int) {
	return appendPage("{"+pageStart, messages, more)
}

// appendPage returns a page, and the number of its messages.
func appendPage(start string, messages []room.Message, more bool) (page []byte, n int) {
	var scratch []byte
	size := len(start) + len(pageLast)
	for n < len(messages) {
		scratch = AppendMessage(scratch[:0], &messages[len(messages)-n-1])
		if size += len(scratch) + 1; size > MaxPage && n > 0 {
			size -= len(scratch) + 1
			more = true
			break
		}
		n++
	}
	page = append(make([]byte, 0, size), start...)
	for i := range messages[len(messages)-n:] {
		if i > 0 {
			page = append(page, ',')
		}
		page = AppendMessage(page, &messages[len(messages)-n+i])
	}
	if more {
		return append(page, pageMore...), n
	}
	return append(page, pageLast...), n
}
