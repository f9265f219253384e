package main

import (
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// candidates returns what the last of the words may become, each with what it is
// behind a tab: commands, flags, or values of the flag before it.
func candidates(node *kong.Node, words []string) (found []string) {
	// bash takes --flag=value for three words.
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
	var waits *kong.Flag // for its value
	for _, w := range words[:len(words)-1] {
		switch {
		case waits != nil:
			waits = nil
		case strings.HasPrefix(w, "-"):
			if f := flagOf(node, w); f != nil && !f.IsBool() && !strings.Contains(w, "=") {
				waits = f
			}
		default:
			if child := childOf(node, w); child != nil {
				node = child
			}
		}
	}
	switch {
	case waits != nil:
		for _, value := range waits.EnumSlice() {
			if waits.Enum != "" && value != "" {
				add(value, waits.Help)
			}
		}
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
			for _, value := range arg.EnumSlice() {
				if arg.Enum != "" && value != "" {
					add(value, arg.Help)
				}
			}
		}
	}
	return found
}

func flagOf(node *kong.Node, word string) *kong.Flag {
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

func childOf(node *kong.Node, name string) *kong.Node {
	for _, child := range node.Children {
		if child.Name == name && !child.Hidden {
			return child
		}
	}
	return nil
}
