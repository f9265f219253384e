package diagnose

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// describe returns one line for each kind of result among failed attempts, with the requests that
// had it and their share.
func describe(f *Facts, failed []*Attempt) (lines []string) {
	type request struct{ probe, text string }
	var results []string
	requests := map[string][]request{}
	counts := map[string]map[request]int{}
	for _, a := range failed {
		result, asked := a.result(), request{a.Probe, a.request()}
		if counts[result] == nil {
			results, counts[result] = append(results, result), map[request]int{}
		}
		if counts[result][asked]++; counts[result][asked] == 1 {
			requests[result] = append(requests[result], asked)
		}
	}
	for _, result := range results {
		var texts []string
		for _, asked := range requests[result] {
			same := f.attempts(func(a *Attempt) bool { return a.Probe == asked.probe && a.request() == asked.text })
			text := asked.text
			if len(same) > 1 {
				text = fmt.Sprintf("%d of %d %s", counts[result][asked], len(same), text)
			}
			if !slices.Contains(texts, text) {
				texts = append(texts, text)
			}
		}
		if len(texts) > maxEvidence {
			texts = append(texts[:maxEvidence:maxEvidence], fmt.Sprintf("%d more", len(texts)-maxEvidence))
		}
		lines = append(lines, strings.Join(texts, ", ")+": "+result)
	}
	return lines
}

const maxEvidence = 5

// request names what was asked.
func (a *Attempt) request() string {
	text := a.Path
	if a.Bytes > 0 {
		text += fmt.Sprintf(" (%d bytes)", a.Bytes)
	}
	if a.Sent != "" {
		text += " with " + a.Sent
	}
	return text
}

// result says what came of an attempt, without what differs from one to the next.
func (a *Attempt) result() string {
	replica := "roomspa"
	if a.Replica != "" {
		replica = "replica " + a.Replica
	}
	switch {
	case a.Status == 0:
		return a.errorText() + extra(a.Text)
	case a.Status != 101 && a.Ours:
		return strings.TrimSpace(fmt.Sprintf("HTTP %d %s", a.Status, a.Code)) + " from " + replica + extra(a.Detail)
	case a.Status != 101:
		return a.strangersAnswer()
	case a.Close != 0:
		return fmt.Sprintf("%s closed with %d %s", replica, a.Close, a.Code) + extra(a.Detail)
	case a.Code != "":
		return replica + " answered " + a.Code + extra(a.Detail)
	case a.Error != "":
		return "the socket opened at " + replica + ", then: " + a.errorText() + extra(a.Text)
	case a.OK:
		return "answered by " + replica
	}
	return "the socket opened at " + replica + extra(a.Text)
}

// strangersAnswer shows who answered, and what.
func (a *Attempt) strangersAnswer() string {
	parts := []string{fmt.Sprintf("HTTP %d from %s", a.Status, a.who())}
	for _, h := range []string{"Location", "WWW-Authenticate", "Proxy-Authenticate", "Retry-After"} {
		if v := a.Header[h]; v != "" {
			parts = append(parts, h+": "+v)
		}
	}
	if kind := a.Header["Content-Type"]; a.Status < 300 && kind != "" {
		parts = append(parts, kind)
	}
	if body := strings.Join(strings.Fields(tags.ReplaceAllString(a.Body, " ")), " "); body != "" {
		parts = append(parts, strconv.Quote(body))
	}
	return strings.Join(parts, ", ")
}

// tags are those of HTML, the last one perhaps cut off.
var tags = regexp.MustCompile(`<[^>]*(>|$)`)

var errorTexts = map[string]string{
	"refused": "the connection was refused", "unreachable": "there is no route", "timeout": "no answer in time", "reset": "the connection was reset",
	"closed": "the connection was closed without an answer", "not_http": "the answer is not HTTP", "tls": "the TLS handshake failed",
	"changed": "the frame came back changed", "extension": "the response 101 has an extension that was not asked for", "dial_timeout": "the connection attempt timed out",
}

func (a *Attempt) errorText() string {
	if a.Error == "timeout" {
		return "no answer within " + time.Duration(max(a.MS, a.TotalMS)*float64(time.Millisecond)).Round(time.Second).String()
	}
	return errorTexts[a.Error]
}

func extra(text string) string {
	if text == "" {
		return ""
	}
	return ": " + strings.TrimSuffix(text, ".")
}

// who names the program that answered, as far as its headers tell.
func (a *Attempt) who() string {
	if a.Ours {
		return "roomspa"
	}
	for _, h := range []string{"Server", "Via"} {
		if v := a.Header[h]; v != "" {
			return v + " (not roomspa)"
		}
	}
	return "something that is not roomspa"
}
