// Package roomspajs embeds the JavaScript client, which the console serves and the soak runs.
package roomspajs

import _ "embed" // for the source

// Source is the ES module roomspa.js.
//
//go:embed roomspa.js
var Source []byte
