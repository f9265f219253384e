package vectors_test

import (
	"fmt"

	"github.com/roomspa/roomspa/internal/frame"
)

// closes has a vector for each close that the server knows, and for codes that it never sends. The socket was live for
// less than 10 s, and is the first one. Where the server asks for a delay it is 700 ms; the back-off is 500 ms.
func closes() (all []vector) {
	for _, r := range frame.Reasons {
		all = append(all, closeVector(r.Code, r.Word))
		if app := frame.AppCode(r.Code); app != r.Code {
			all = append(all, closeVector(app, r.Word))
		}
	}
	for _, code := range []int{1001, 1005, 1006, 1010, 3000, 3999, 4002, 4999} {
		all = append(all, closeVector(code, ""))
	}
	return append(all, askedDelays()...)
}

func closeVector(code int, word string) vector {
	name := fmt.Sprintf("%d %s", code, word)
	if word == "" {
		name = fmt.Sprintf("%d without a reason", code)
	}
	again := func(why string, delay int) vector {
		return chat(name, why, "", begin(
			at(1020, closed(code, word), wait(delay)),
			at(1020+delay, "", dial("t1", since(41), last(code))),
		)...)
	}
	switch {
	case code == 1012, code == 1013, code == 4012, code == 4013:
		v := chat(name, "The server asked for a delay.", "", begin(
			at(1020, gets(`{"type":"reconnect","after_ms":700,"reason":"%s","ref":"%s"}`, word, ref)),
			at(1030, closed(code, word), wait(700)),
			at(1730, "", dial("t1", since(41), last(code))),
		)...)
		return v
	case code == 1008:
		return again("The client broke a limit: a minute.", 60_000)
	case code == 4001 && word != "user_inactive":
		return chat(name, "A new token, and at once.", `{"tokens":["t1","t2"]}`, begin(
			at(1020, closed(code, word), wait(0), dial("t2", since(41), last(code))),
		)...)
	case code == 1000, code == 1002, code == 1003, code == 1007, code == 1010, code >= 3000:
		return chat(name, "Another attempt would not help.", "", begin(
			at(1020, closed(code, word), over(code)),
			at(300_000, ""),
		)...)
	default:
		return again("The back-off.", 500)
	}
}

func askedDelays() []vector {
	asked := func(ms int, word string) string {
		return gets(`{"type":"reconnect","after_ms":%d,"reason":"%s","ref":"%s"}`, ms, word, ref)
	}
	return []vector{
		chat("1012 without a delay", "A server that says no delay: the back-off.", "", begin(
			at(1020, closed(1012, "restart"), wait(500)),
			at(1520, "", dial("t1", since(41), last(1012))),
		)...),
		chat("1013 with a short delay", "The back-off is longer.", "", begin(
			at(1020, asked(100, "busy")),
			at(1030, closed(1013, "busy"), wait(500)),
			at(1530, "", dial("t1", since(41), last(1013))),
		)...),
		chat("1012 with a delay of days", "A wrong delay must not silence a client: ten minutes at most.", "", begin(
			at(1020, asked(86_400_000, "restart")),
			at(1030, closed(1012, "restart"), wait(600_000)),
			at(601_030, "", dial("t1", since(41), last(1012))),
		)...),
		chat("a close that is lost after reconnect", "The connection is cut before its Close arrives: the delay stands.", "", begin(
			at(1020, asked(700, "restart")),
			at(1030, lost, wait(700)),
			at(1730, "", dial("t1", since(41), last(1006))),
		)...),
		chat("a close that is lost after an error", "An error frame with close says which Close follows, also if it is lost.", "", begin(
			at(1020, gets(`{"type":"error","code":"not_your_room","detail":"…","ref":"%s","close":4003}`, ref)),
			at(1030, lost, over(4003)),
			at(300_000, ""),
		)...),
	}
}

// backoff has full jitter up to a limit that doubles.
func backoff() []vector {
	failures := func(random float64, delays ...int) vector {
		v := chat(fmt.Sprintf("failures in a row, random %v", random), "Anything between 0 and a limit, which doubles from 1 s to 30 s.", "",
			at(0, start, dial("t1")))
		v.Random = random
		now := 0
		for _, d := range delays {
			v.steps = append(v.steps, at(now+5, lost, wait(d)), at(now+5+d, "", dial("t1")))
			now += 5 + d
		}
		return v
	}
	return []vector{
		failures(0.5, 500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000),
		failures(0.25, 250, 500, 1000, 2000, 4000, 7500, 7500),
		chat("a socket that lived for 10 s", "The next failure is the first one again.", "", begin(
			at(1000, lost, wait(500)),
			at(1500, "", dial("t1", since(41), last(1006))),
			at(1510, open),
			at(1520, hello(1, 41), live),
			at(1530, lost, wait(1000)),
			at(2530, "", dial("t1", since(41), last(1006))),
			at(2540, open),
			at(2550, hello(1, 41), live),
			at(12_550, lost, wait(500)),
			at(13_050, "", dial("t1", since(41), last(1006))),
		)...),
		chat("statuses that pass", "5xx, 408, 425 and 429 come back after Retry-After and the back-off.", "",
			at(0, start, dial("t1")),
			at(5, `{"type":"status","status":503,"retry_after":2}`, wait(2500)),
			at(2505, "", dial("t1")),
			at(2510, `{"type":"status","status":429}`, wait(1000)),
			at(3510, "", dial("t1")),
			at(3515, `{"type":"status","status":408}`, wait(2000)),
		).needs("http_status"),
		chat("a status that stands", "Other statuses do not come back.", "",
			at(0, start, dial("t1")),
			at(5, `{"type":"status","status":403}`, over(403)),
			at(300_000, ""),
		).needs("http_status"),
	}
}
