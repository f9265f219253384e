package vectors_test

const (
	ping = `{"type":"send","frame":{"type":"ping"}}`
	pong = `{"type":"frame","frame":{"type":"pong"}}`
	wake = `{"type":"wake"}`
)

// alive is for clients whose platform hides protocol pings, or freezes them.
func alive() []vector {
	return []vector{
		chat("silence", "A ping after 30 s without a frame; any frame is an answer.", "", begin(
			at(30_020, "", ping),
			at(30_500, pong),
			at(60_500, "", ping),
			at(60_600, arrives(42), shown(42)),
			at(90_600, "", ping),
		)...).needs("app_ping"),
		chat("no answer", "10 s later the socket is given up.", "", begin(
			at(30_020, "", ping),
			at(40_020, "", closing, wait(500)),
			at(40_520, "", dial("t1", since(41), last(1006))),
		)...).needs("app_ping"),
		chat("woken with an open socket", "A frozen page's socket may only look open: a ping at once, and 5 s for the answer.", "", begin(
			at(1000, wake, ping),
			at(6000, "", closing, wait(500)),
		)...).needs("app_ping", "wake"),
		chat("woken, and the socket is alive", "", "", begin(
			at(1000, wake, ping),
			at(1100, pong),
			at(1200, wake, ping),
			at(1300, pong),
			at(31_300, "", ping),
		)...).needs("app_ping", "wake"),
		chat("woken while it waits", "The wait ends early, but attempts are a second apart.", "",
			at(0, start, dial("t1")),
			at(5, lost, wait(500)),
			at(505, "", dial("t1")),
			at(510, lost, wait(1000)),
			at(1510, "", dial("t1")),
			at(1515, lost, wait(2000)),
			at(1600, wake),
			at(2510, "", dial("t1")),
			at(2515, lost, wait(4000)),
			at(5000, wake, dial("t1")),
		).needs("wake"),
		chat("woken while the server has asked to wait", "Its delay spreads the clients: it stands.", "", begin(
			at(1020, gets(`{"type":"reconnect","after_ms":7000,"reason":"restart","ref":"%s"}`, ref)),
			at(1030, closed(1012, "restart"), wait(7000)),
			at(3000, wake),
			at(8030, "", dial("t1", since(41), last(1012))),
		)...).needs("wake"),
	}
}

// receipts are sent as the app marks, at most one a second, and again where the server has forgotten them.
func receipts() []vector {
	receipt := func(kind string, seq int) string {
		return gets(`{"type":"%s","user_id":1,"seq":%d}`, kind, seq)
	}
	mark := func(seq string) string { return `{"type":"mark","read":` + seq + `}` }
	sent := func(kind, seq string) string {
		return `{"type":"send","frame":{"type":"` + kind + `","seq":` + seq + `}}`
	}
	return []vector{
		chat("delivered by itself", "The first at once, then the highest of each second.", "", begin(
			at(1000, arrives(42), shown(42), sent("delivered", "42")),
			at(1010, arrives(43), shown(43)),
			at(1020, arrives(44), shown(44)),
			at(2000, "", sent("delivered", "44")),
		)...).needs("receipts"),
		chat("read implies delivered", "One frame for both.", "", begin(
			at(1000, arrives(42), shown(42), sent("delivered", "42")),
			at(1010, arrives(43), shown(43)),
			at(1020, mark("43")),
			at(2000, "", sent("read", "43")),
		)...).needs("receipts"),
		chat("lost with the socket", "connected says less than what was marked: it is sent again.", "", begin(
			at(1000, arrives(42), shown(42), sent("delivered", "42")),
			at(2000, mark("42"), sent("read", "42")),
			at(2010, lost, wait(500)),
			at(2510, "", dial("t1", sinceID(42), last(1006))),
			at(2520, open),
			at(2530, hello(1, 42), live, sent("read", "42")),
		)...).needs("receipts"),
		chat("another device was faster", "What the server has is not sent again.", "", begin(
			at(30, receipt("read", 41)),
			at(1000, mark("41")),
			at(5000, ""),
		)...).needs("receipts"),
		chat("marked while there is no socket", "It waits for the next one.", "", begin(
			at(1000, lost, wait(500)),
			at(1100, mark("41")),
			at(1500, "", dial("t1", since(41), last(1006))),
			at(1510, open),
			at(1520, hello(1, 41), live, sent("read", "41")),
		)...).needs("receipts"),
		chat("forgotten with a reset", "Numbers of before mean other messages now.", "", begin(
			at(1000, lost, wait(500)),
			at(1100, mark("41")),
			at(1500, "", dial("t1", since(41), last(1006))),
			at(1510, open),
			at(1515, gets(`{"type":"connected","ref":"%s","conversation_id":"%s","first_seq":1,"last_seq":7,"delivered_seq":41,"read_seq":41,"unread":0,"peer":{"id":2,"delivered_seq":0,"read_seq":0}}`, ref, room), live),
			at(1520, gets(`{"type":"resumed","from_seq":8,"to_seq":7,"first_seq":1,"last_seq":7,"reset":true}`), `{"type":"reset","last_seq":7}`),
			at(5000, arrives(8), shown(8), sent("delivered", "8")),
		)...).needs("receipts"),
		chat("support", "It has no cursor, and sends no receipt.", "",
			at(0, start, dial("t1")),
			at(10, open),
			at(20, gets(`{"type":"connected","ref":"%s","conversation_id":"%s","first_seq":1,"last_seq":41}`, ref, room), live),
			at(1000, arrives(42), shown(42)),
			at(2000, mark("42")),
			at(5000, ""),
		).needs("receipts"),
	}
}

// typing limits how often the client sends typing, and expires that of the other side.
func typing() []vector {
	types := func(active string) string { return `{"type":"type","active":` + active + `}` }
	sent := func(active string) string {
		return `{"type":"send","frame":{"type":"typing","is_typing":` + active + `}}`
	}
	told := func(active string) string { return `{"type":"typing","is_typing":` + active + `}` }
	return []vector{
		chat("at each key", "Every 3 s at most, and the end at once.", "", begin(
			at(1000, types("true"), sent("true")),
			at(1100, types("true")),
			at(3999, types("true")),
			at(4000, types("true"), sent("true")),
			at(4100, types("false"), sent("false")),
			at(4200, types("false")),
			at(4300, types("true"), sent("true")),
		)...).needs("typing"),
		chat("while there is no socket", "It is a hint: it does not wait.", "", begin(
			at(1000, lost, wait(500)),
			at(1100, types("true")),
			at(1500, "", dial("t1", since(41), last(1006))),
			at(1510, open),
			at(1520, hello(1, 41), live),
			at(1530, types("true"), sent("true")),
		)...).needs("typing"),
		chat("the other side types", "It ends after expires_in_ms, unless another one comes.", "", begin(
			at(1000, gets(`{"type":"typing","user_id":2,"is_typing":true,"expires_in_ms":6000}`), told("true")),
			at(5000, gets(`{"type":"typing","user_id":2,"is_typing":true,"expires_in_ms":6000}`), told("true")),
			at(11_000, "", told("false")),
			at(12_000, gets(`{"type":"typing","user_id":2,"is_typing":true,"expires_in_ms":6000}`), told("true")),
			at(13_000, gets(`{"type":"typing","user_id":2,"is_typing":false}`), told("false")),
			at(29_000, ""),
		)...).needs("typing"),
	}
}
