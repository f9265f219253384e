// Package roomspajs embeds the JavaScript client, which the console serves and the soak runs.
package roomspajs

import "embed"

// Source is the ES module roomspa.js.
//
//go:embed roomspa.js
var Source []byte

// Process holds roomspa.js and a program for Node, node/lines.js, that is a client and speaks JSON
// lines.
//
//go:embed roomspa.js node/*.js
var Process embed.FS
