package main

import (
	"fmt"
	"runtime"
)

// commit is set by the build (-ldflags "-X main.commit=…").
var commit = "unknown"

type versionCmd struct {
	JSON bool `name:"json" env:"-" help:"Print JSON."`
}

// Help is shown by --help.
func (*versionCmd) Help() string {
	return `Prints the version, the commit it was built from, the version of Go, and the platform.

Examples:
  roomspa version
  roomspa version --json`
}

// Run prints the version.
func (c *versionCmd) Run(std streams) error {
	platform := runtime.GOOS + "/" + runtime.GOARCH
	if c.JSON {
		return printJSON(std.Out, struct {
			Version  string `json:"version"`
			Commit   string `json:"commit"`
			Go       string `json:"go"`
			Platform string `json:"platform"`
		}{version, commit, runtime.Version(), platform})
	}
	_, err := fmt.Fprintf(std.Out, "roomspa %s (commit %s, %s, %s)\n", version, commit, runtime.Version(), platform)
	return err
}
