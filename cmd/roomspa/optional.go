package main

import "github.com/alecthomas/kong"

// optional lets commands go without options that others, which share them, need:
// check says itself what is missing, and a token can be looked at without a store.
func optional(k *kong.Kong) error {
	var relax func(nodes []*kong.Node, names map[string]bool)
	relax = func(nodes []*kong.Node, names map[string]bool) {
		for _, node := range nodes {
			for _, flag := range node.Flags {
				if names[""] || names[flag.Name] {
					flag.Required = false
				}
			}
			relax(node.Children, names)
		}
	}
	for _, node := range k.Model.Children {
		switch node.Name {
		case "check":
			relax([]*kong.Node{node}, map[string]bool{"": true})
		case "token":
			relax(node.Children, map[string]bool{"database-url": true})
		}
	}
	return nil
}
