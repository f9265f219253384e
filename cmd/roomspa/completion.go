package main

import (
	"fmt"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is shown by --help.
func (*completionCmd) Help() string {
	return `Prints what makes a shell complete commands, flags and their values.

Examples:
  source <(roomspa completion bash)                              in ~/.bashrc
  source <(roomspa completion zsh)                               in ~/.zshrc, behind compinit
  roomspa completion fish > ~/.config/fish/completions/roomspa.fish`
}

// shells holds what each shell needs in order to ask "roomspa complete". It hands
// over the words up to the one that is being typed, that included.
var shells = map[string]string{
	"bash": `_roomspa() {
  local IFS=$'\n'
  COMPREPLY=($(roomspa complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1))
}
complete -o default -F _roomspa roomspa
`,
	"zsh": `#compdef roomspa
_roomspa() {
  local line; local -a found
  for line in "${(@f)$(roomspa complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ -n $line ]] && found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
  done
  if (( $#found )); then _describe roomspa found; else _files; fi
}
compdef _roomspa roomspa
`,
	"fish": `complete -c roomspa -a '(roomspa complete -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
`,
}

// Run prints the shell's part.
func (c *completionCmd) Run(std streams) error {
	_, err := fmt.Fprint(std.Out, shells[c.Shell])
	return err
}

// A completeCmd is what the shells ask.
type completeCmd struct {
	Words []string `arg:"" optional:"" passthrough:""`
}

// Run prints a candidate a line, and behind a tab what it is.
func (c *completeCmd) Run(k *kong.Kong, std streams) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	for _, line := range candidates(k.Model.Node, words) {
		if _, err := fmt.Fprintln(std.Out, line); err != nil {
			return err
		}
	}
	return nil
}
