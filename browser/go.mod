// The tests of the web console in a real browser. A module of its own keeps the browser's
// protocol out of the product's dependency graph.
module github.com/roomspa/roomspa/browser

go 1.26.0

require (
	github.com/chromedp/cdproto v0.160.2
	github.com/chromedp/chromedp v0.23.1
)

require github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
