package vectors_test

// final are the error words after which a message is never sent again.
var final = []string{
	"bad_json", "bad_frame", "bad_text", "unknown_type", "empty_message", "too_long", "out_of_range", "wrong_role", "blocked",
}

// queue is about messages of the user: one in flight, in order, the same id until it is stored.
func queue() []vector {
	all := []vector{
		chat("one at a time", "The next one is sent after the ack, so that the order holds whatever happens.", "", begin(
			at(30, say("a"), sent("a")),
			at(40, say("b")),
			at(50, say("c")),
			at(60, ack("a", 42), acked("a", 42), sent("b")),
			at(70, ack("b", 43), acked("b", 43), sent("c")),
			at(80, ack("c", 44), acked("c", 44)),
			at(90, say("d"), sent("d")),
		)...),
		chat("before the first connection", "They wait, in order.", `{"queue":[`+message("a")+`,`+message("b")+`]}`,
			at(0, start, dial("t1")),
			at(5, say("c")),
			at(10, open),
			at(20, hello(1, 41), live, sent("a")),
			at(30, ack("a", 42), acked("a", 42), sent("b")),
			at(40, ack("b", 43), acked("b", 43), sent("c")),
		),
		chat("a lost ack", "Nobody knows whether it is stored. The id makes a repetition harmless.", "", begin(
			at(30, say("a"), sent("a")),
			at(40, say("b")),
			at(50, lost, wait(500)),
			at(550, "", dial("t1", since(41), last(1006))),
			at(560, open),
			at(570, hello(1, 42), live, sent("a")),
			at(580, arrives(42), shown(42)),
			at(590, gets(`{"type":"ack","client_message_id":"a","id":"%s","seq":42,"timestamp":"2026-11-23T15:31:02.383Z","duplicate":true}`, id(42)),
				acked("a", 42), sent("b")),
		)...),
		chat("the ack moves nothing", "The message comes as chat_message too, before or after its ack.", "", begin(
			at(30, say("a"), sent("a")),
			at(40, ack("a", 43), acked("a", 43)),
			at(50, arrives(42), shown(42)),
			at(60, arrives(43), shown(43)),
		)...),
		chat("a refusal for now", "Again after half a second to one and a half, and nothing overtakes it.", "", begin(
			at(30, say("a"), sent("a")),
			at(40, say("b")),
			at(50, refused("a", "database_unavailable")),
			at(1050, "", sent("a")),
			at(1060, refused("a", "internal")),
			at(2060, "", sent("a")),
			at(2070, ack("a", 42), acked("a", 42), sent("b")),
		)...),
		chat("a refusal for now, and a new socket", "A new socket need not wait.", "", begin(
			at(30, say("a"), sent("a")),
			at(40, refused("a", "database_unavailable")),
			at(50, closed(1012, "restart"), wait(500)),
			at(550, "", dial("t1", since(41), last(1012))),
			at(560, open),
			at(570, hello(1, 41), live, sent("a")),
		)...),
		chat("too large", "1009 is about the message in flight. It is dropped, since it would do the same again.", "", begin(
			at(30, say("a"), sent("a")),
			at(40, say("b")),
			at(50, closed(1009, "too_large"), failed("a", "too_large"), wait(500)),
			at(550, "", dial("t1", since(41), last(1009))),
			at(560, open),
			at(570, hello(1, 41), live, sent("b")),
		)...),
		chat("an error that is about no message", "An error without a client_message_id leaves the queue alone.", "", begin(
			at(30, say("a"), sent("a")),
			at(40, gets(`{"type":"error","code":"out_of_range","field":"seq","ref":"%s"}`, ref)),
			at(50, ack("a", 42), acked("a", 42)),
		)...),
		chat("an ack that never comes", "The socket is fine otherwise: the same again after 30 s.", "", begin(
			at(30, say("a"), sent("a")),
			at(20_000, arrives(42), shown(42)),
			at(30_030, "", sent("a")),
			at(30_040, ack("a", 43), acked("a", 43)),
		)...).needs("ack_timeout"),
	}
	for _, code := range []string{"missing_field", "rate_limited", "channel_layer_unavailable", "busy", "of_tomorrow"} {
		all = append(all, chat("not final: "+code, "Only the listed words are final. It is sent again, and nothing overtakes it.", "", begin(
			at(30, say("a"), sent("a")),
			at(40, say("b")),
			at(50, refused("a", code)),
			at(1050, "", sent("a")),
		)...))
	}
	for _, code := range final {
		all = append(all, chat("refused for good: "+code, "It is dropped, the app is told, and the next one is sent.", "", begin(
			at(30, say("a"), sent("a")),
			at(40, say("b")),
			at(50, refused("a", code), failed("a", code), sent("b")),
		)...))
	}
	for _, code := range []string{"bad_json", "bad_frame", "bad_text"} {
		all = append(all, chat("unreadable: "+code, "The server could not read whose frame it was: it is the one in flight.", "", begin(
			at(30, say("a"), sent("a")),
			at(40, gets(`{"type":"error","code":"%s","ref":"%s"}`, code, ref), failed("a", code)),
		)...))
	}
	return all
}

// location keeps the newest position only.
func location() []vector {
	const (
		hello = `{"type":"frame","frame":{"type":"connected","ref":"` + ref + `"}}`
		first = `{"latitude":52.5,"longitude":13.4}`
		next  = `{"latitude":52.6,"longitude":13.5}`
	)
	position := func(p string) string { return `{"type":"position","position":` + p + `}` }
	sent := func(p string) string { return `{"type":"send","frame":` + p + `}` }
	vectors := []vector{
		chat("live", "Each position is sent at once.", "",
			at(0, start, dial("t1")),
			at(10, open),
			at(20, hello, live),
			at(30, position(first), sent(first)),
			at(40, position(next), sent(next)),
		),
		chat("while there is no socket", "Only the newest waits. Nothing is resumed.", "",
			at(0, start, dial("t1")),
			at(10, position(first)),
			at(20, position(next)),
			at(30, open),
			at(40, hello, live, sent(next)),
			at(50, lost, wait(500)),
			at(550, "", dial("t1", last(1006))),
		),
	}
	for i := range vectors {
		vectors[i].Endpoint = "location"
	}
	return vectors
}
