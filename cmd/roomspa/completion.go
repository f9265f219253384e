package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"Shell: bash, zsh or fish."`
}

// Help is shown by --help.
func (*completionCmd) Help() string {
	return `Prints a script that makes the shell complete commands, flags and values.

Examples:
  source <(roomspa completion bash)                              in ~/.bashrc
  source <(roomspa completion zsh)                               in ~/.zshrc, after compinit
  roomspa completion fish > ~/.config/fish/completions/roomspa.fish`
}

// completionScripts make each shell call "roomspa complete" with the words up to and
// including the one that is being typed.
var completionScripts = map[string]string{
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

// Run prints the script.
func (c *completionCmd) Run(std streams) error {
	_, err := fmt.Fprint(std.Out, completionScripts[c.Shell])
	return err
}

// A completeCmd answers the shells.
type completeCmd struct {
	Words []string `arg:"" optional:"" passthrough:""`
}

// Run prints one candidate per line, with its help after a tab.
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

// candidates returns the completions of the last word: commands, flags, or values of
// the flag before it.
func candidates(node *kong.Node, words []string) (found []string) {
	// bash passes --flag=value as three words.
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "=" })
	if len(words) == 0 {
		words = []string{""}
	}
	typed := words[len(words)-1]
	add := func(word, help string) {
		if strings.HasPrefix(word, typed) {
			help, _, _ = strings.Cut(help, "\n")
			found = append(found, word+"\t"+help)
		}
	}
	addEnum := func(v *kong.Value) {
		for _, value := range v.EnumSlice() {
			if v.Enum != "" && value != "" {
				add(value, v.Help)
			}
		}
	}
	node, flag := walk(node, words[:len(words)-1])
	switch {
	case flag != nil:
		addEnum(flag.Value)
	case strings.HasPrefix(typed, "-"):
		for _, group := range node.AllFlags(true) {
			for _, f := range group {
				add("--"+f.Name, f.Help)
			}
		}
	default:
		for _, child := range node.Children {
			if !child.Hidden && child.Type == kong.CommandNode {
				add(child.Name, child.Help)
			}
		}
		for _, arg := range node.Positional {
			addEnum(arg)
		}
	}
	return found
}

// walk follows words down the commands. It returns the last command, and the flag
// whose value comes next, nil if there is none.
func walk(node *kong.Node, words []string) (*kong.Node, *kong.Flag) {
	var waiting *kong.Flag
	for _, w := range words {
		switch {
		case waiting != nil:
			waiting = nil
		case strings.HasPrefix(w, "-"):
			if f := findFlag(node, w); f != nil && !f.IsBool() && !strings.Contains(w, "=") {
				waiting = f
			}
		default:
			i := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Name == w && !n.Hidden })
			if i >= 0 {
				node = node.Children[i]
			}
		}
	}
	return node, waiting
}

func findFlag(node *kong.Node, word string) *kong.Flag {
	name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
	for _, group := range node.AllFlags(false) {
		for _, f := range group {
			if f.Name == name {
				return f
			}
		}
	}
	return nil
}
