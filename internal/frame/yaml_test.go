package frame_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// parseYAML reads the part of YAML that docs/asyncapi.yaml keeps to: mappings and
// sequences in block form, and scalars that are JSON or plain text on one line.
// A library for the rest would be a dependency for one test.
func parseYAML(text string) (v any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	p := &yaml{}
	for n, line := range strings.Split(text, "\n") {
		body := strings.TrimLeft(line, " ")
		if body == "" || body[0] == '#' {
			continue
		}
		p.lines = append(p.lines, yamlLine{len(line) - len(body), body, n + 1})
	}
	v = p.block(0)
	if len(p.lines) > 0 {
		panic(fmt.Sprintf("line %d is indented in a strange way", p.lines[0].number))
	}
	return v, nil
}

type yaml struct{ lines []yamlLine }

type yamlLine struct {
	indent int
	text   string
	number int
}

var yamlPair = regexp.MustCompile(`^([A-Za-z0-9_$.-]+):(?: +(.*))?$`)

func (p *yaml) block(indent int) any {
	if strings.HasPrefix(p.lines[0].text, "- ") {
		list := []any{}
		for len(p.lines) > 0 && p.lines[0].indent == indent && strings.HasPrefix(p.lines[0].text, "- ") {
			p.lines[0].indent, p.lines[0].text = indent+2, p.lines[0].text[2:]
			list = append(list, p.block(indent+2))
		}
		return list
	}
	m := map[string]any{}
	for len(p.lines) > 0 && p.lines[0].indent == indent {
		line := p.lines[0]
		pair := yamlPair.FindStringSubmatch(line.text)
		if pair == nil {
			panic(fmt.Sprintf("line %d is no pair: %s", line.number, line.text))
		}
		if _, twice := m[pair[1]]; twice {
			panic(fmt.Sprintf("line %d: %s stands there twice", line.number, pair[1]))
		}
		p.lines = p.lines[1:]
		switch {
		case pair[2] != "":
			m[pair[1]] = scalar(pair[2], line.number)
		case len(p.lines) > 0 && p.lines[0].indent > indent:
			m[pair[1]] = p.block(p.lines[0].indent)
		default:
			panic(fmt.Sprintf("line %d: %s has no value", line.number, pair[1]))
		}
	}
	return m
}

func scalar(text string, number int) any {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if d.Decode(&v) == nil && !d.More() {
		return v
	}
	if strings.ContainsAny(text[:1], "\"'[{&*!|>%@`#") || strings.Contains(text, ": ") || strings.Contains(text, " #") {
		panic(fmt.Sprintf("line %d needs quotes: %s", number, text))
	}
	return text
}
