package main

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// lists are the mappers of comma-separated options. Blanks around an entry do not count, and
// neither do empty entries. An option with sep:"none" splits its text itself.
func lists() []kong.Option {
	return []kong.Option{
		kong.TypeMapper(reflect.TypeFor[[]string](), list(func(text string) (string, error) { return text, nil })),
		kong.TypeMapper(reflect.TypeFor[[]netip.Prefix](), list(netip.ParsePrefix)),
	}
}

func list[T any](parse func(string) (T, error)) kong.MapperFunc {
	return func(ctx *kong.DecodeContext, target reflect.Value) error {
		if ctx.Value.Flag == nil { // arguments
			for _, token := range ctx.Scan.PopWhile(kong.Token.IsValue) {
				if err := add(fmt.Sprint(token.Value), target, parse); err != nil {
					return err
				}
			}
			return nil
		}
		token, err := ctx.Scan.PopValue("list")
		if err != nil {
			return err //nolint:wrapcheck // kong names the flag
		}
		text := fmt.Sprint(token.Value)
		if ctx.Value.Tag.Sep == -1 {
			return add(text, target, parse)
		}
		for entry := range strings.SplitSeq(text, string(ctx.Value.Tag.Sep)) {
			if entry = strings.TrimSpace(entry); entry == "" {
				continue
			}
			if err := add(entry, target, parse); err != nil {
				return err
			}
		}
		return nil
	}
}

func add[T any](text string, target reflect.Value, parse func(string) (T, error)) error {
	v, err := parse(text)
	if err != nil {
		return fmt.Errorf("entry %q: %w", text, err)
	}
	target.Set(reflect.Append(target, reflect.ValueOf(v)))
	return nil
}
