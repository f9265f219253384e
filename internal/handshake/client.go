package handshake

import (
	"regexp"
	"strings"
)

// maxClient is the maximum length of the name of a client's software, in bytes. Sockets keep it.
const maxClient = 40

// browsers are the products of a User-Agent that name a browser, the more special ones first:
// Edge also says Chrome, and Chrome also says Safari (RFC 9110 §10.1.5).
var browsers = []struct{ product, name string }{
	{"Edg/", "Edge"},
	{"EdgA/", "Edge"},
	{"EdgiOS/", "Edge"},
	{"OPR/", "Opera"},
	{"SamsungBrowser/", "Samsung"},
	{"Firefox/", "Firefox"},
	{"FxiOS/", "Firefox"},
	{"CriOS/", "Chrome"},
	{"Chrome/", "Chrome"},
	{"Version/", "Safari"},
}

// systems are words of a User-Agent that name the operating system, the more special ones first.
var systems = []struct{ word, name string }{
	{"iPhone", "iPhone"},
	{"iPad", "iPad"},
	{"Android", "Android"},
	{"Windows", "Windows"},
	{"CrOS", "ChromeOS"},
	{"Mac OS X", "macOS"},
	{"Linux", "Linux"},
}

// unusual matches what a product and its version do not have. It could be a token, or disturb a
// terminal.
var unusual = regexp.MustCompile(`[^A-Za-z0-9 ._/()+:;,-]+`)

// clientName returns a short name of a client's software from its User-Agent: browser, major
// version and system, as in "Chrome 126 Android", or the first product, as in "okhttp/4.12.0".
func clientName(agent string) string {
	if strings.HasPrefix(agent, "Mozilla/") {
		for _, b := range browsers {
			if _, version, found := strings.Cut(agent, " "+b.product); found {
				major := version[:len(version)-len(strings.TrimLeft(version, "0123456789"))]
				return strings.TrimSpace(b.name + " " + major[:min(len(major), 5)] + " " + system(agent))
			}
		}
		return strings.TrimSpace("browser " + system(agent))
	}
	product, _, _ := strings.Cut(agent, " ")
	product = unusual.ReplaceAllString(product, "")
	return product[:min(len(product), maxClient)]
}

func system(agent string) string {
	for _, s := range systems {
		if strings.Contains(agent, s.word) {
			return s.name
		}
	}
	return ""
}
