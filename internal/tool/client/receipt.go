package client

import "github.com/roomspa/roomspa/internal/frame"

// Receipt is the type of a receipt.
type Receipt string

// The receipts. Read implies delivered.
const (
	Delivered Receipt = frame.TypeDelivered
	Read      Receipt = frame.TypeRead
)

// EncodeReceipt returns the frame that says that the user has received or read all messages up
// to seq.
func EncodeReceipt(r Receipt, seq int64) []byte {
	return EncodeInboxReceipt("", r, seq)
}

// EncodeInboxReceipt is EncodeReceipt for a conversation of the inbox endpoint.
func EncodeInboxReceipt(conversation string, r Receipt, seq int64) []byte {
	return frame.Encode(struct {
		Type         Receipt `json:"type"`
		Conversation string  `json:"conversation_id,omitempty"`
		Seq          int64   `json:"seq"`
	}{r, conversation, seq})
}

// EncodeTyping returns the frame that says that the user types, or has stopped.
func EncodeTyping(active bool) []byte {
	return frame.Encode(struct {
		Type     string `json:"type"`
		IsTyping bool   `json:"is_typing"`
	}{frame.TypeTyping, active})
}

// SendReceipt says that the user has received or read all messages up to seq. The server answers
// with a frame of the same type once it is stored, unless the user's cursor was as high before.
func (c *Conn) SendReceipt(r Receipt, seq int64) error { return c.Send(EncodeReceipt(r, seq)) }

// SendReceipt is Conn.SendReceipt on the current socket. A receipt that is lost with its socket is
// not sent again: compare the cursors of the next connected frame.
func (s *Session) SendReceipt(r Receipt, seq int64) error { return s.Send(EncodeReceipt(r, seq)) }
