package handshake

import (
	"strings"
	"testing"
)

func TestTheNameOfAClientIsShort(t *testing.T) {
	t.Parallel()
	for agent, want := range map[string]string{
		"": "", "okhttp/4.12.0": "okhttp/4.12.0", "roomspa-android/3.2 (build 7) okhttp/4.12.0": "roomspa-android/3.2", "Dart/3.4 (dart:io)": "Dart/3.4",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36":                            "Chrome 126 Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.2592.68":          "Edge 126 Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1":    "Safari 17 iPhone",
		"Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0":                                                                     "Firefox 127 Linux",
		"Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36": "Samsung 25 Android",
		"Mozilla/5.0": "browser", "Mozilla/5.0 \x1b[31mChrome/99999999999999": "browser", "Mozilla/5.0 Chrome/99999999999999x": "Chrome 99999",
		"\x1b[31mred‮": "31mred", strings.Repeat("x", 100): strings.Repeat("x", maxClient), "a=b&token=secret": "abtokensecret",
	} {
		if got := clientName(agent); got != want {
			t.Errorf("%q is %q, want %q", agent, got, want)
		}
	}
}
