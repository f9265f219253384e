package app

import "github.com/roomspa/roomspa/internal/console"

// console returns the web console of a listener, or nil without --console.
func (a *App) console(page console.Page) *console.Console {
	if !a.options.Console {
		return nil
	}
	return console.New(console.Options{Page: page, Version: a.version, Tiles: a.options.ConsoleTiles})
}
