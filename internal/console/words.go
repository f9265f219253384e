package console

import (
	"github.com/roomspa/roomspa/internal/cause"
	"github.com/roomspa/roomspa/internal/frame"
)

// words are what the pages say about codes and causes. They come from the tables that the server
// itself uses.
type words struct {
	Closes []closeWords          `json:"closes"` // in the order of the codes
	Codes  map[int]string        `json:"codes"`  // what a close code means without a reason
	Causes map[string]causeWords `json:"causes"`
	Steps  []string              `json:"steps"` // of a handshake, in order
	Failed map[string]string     `json:"failed"`
}

type closeWords struct {
	Code   int    `json:"code"`
	Reason string `json:"reason"`
	Means  string `json:"means"`
	Client string `json:"client"` // what a client does
}

type causeWords struct {
	Means string `json:"means"`
	Cure  string `json:"cure"`
}

// steps are the steps of a handshake as stories name them. The last one is the endpoint's.
var steps = []string{"received", "token found", "token decoded", "user loaded", "authorized", "group joined", "accepted", "loaded"}

// failed names the step at which a handshake fails with a reason. The page knows no more of a
// story than the reason.
var failed = map[string]string{
	"busy": "received", "over_budget": "received",
	"token_missing": "token found",
	"token_invalid": "token decoded", "token_expired": "token decoded",
	"user_unknown": "user loaded", "user_inactive": "user loaded", "token_revoked": "user loaded",
	"missing_customer_id": "authorized", "missing_therapist_id": "authorized", "bad_id": "authorized", "bad_since": "authorized",
	"not_your_room": "authorized", "wrong_role": "authorized", "no_such_customer": "authorized", "no_such_therapist": "authorized",
	"channel_layer_unavailable": "group joined",
	"too_many_sockets":          "user loaded",
}

// codes are the codes that no table of the server has: those of RFC 6455 that a browser reports.
var codes = map[int]string{
	1001: "The page or the server went away.",
	1005: "The connection was closed without a code.",
	1006: "The connection was lost without a Close frame, or the handshake failed. A browser shows no more of it.",
	1010: "The client wanted an extension that the server does not have.",
	1014: "A gateway got no usable answer.",
	1015: "The TLS handshake failed.",
}

func newWords() words {
	w := words{Codes: codes, Causes: map[string]causeWords{}, Steps: steps, Failed: failed}
	for _, r := range frame.Reasons {
		w.Closes = append(w.Closes, closeWords{r.Code, r.Word, r.Means, r.Client})
	}
	for e := range cause.All() {
		if _, known := w.Causes[e.Cause]; !known {
			w.Causes[e.Cause] = causeWords{e.Means, e.Cure}
		}
	}
	return w
}
