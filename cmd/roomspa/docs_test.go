package main

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

const root = "../.."

// repository returns the text files of the repository, by their path from its root.
// It leaves out what is hidden, built or linked.
func repository(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "bin" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case !d.Type().IsRegular() || !readable.MatchString(d.Name()):
			return nil
		}
		text, err := os.ReadFile(name)
		from, _ := filepath.Rel(root, name)
		files[filepath.ToSlash(from)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 100 {
		t.Fatalf("only %d files were found: the test looks in the wrong place", len(files))
	}
	return files
}

var readable = regexp.MustCompile(`(\.(md|txt|go|js|mjs|html|py|sh|sql|ya?ml|tmpl|tpl|txtar|json)|Makefile|Dockerfile)$`)

// isDocument reports whether people read the file.
func isDocument(name string) bool {
	return strings.HasSuffix(name, ".md") || name == "llms.txt"
}

var (
	fence  = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	inline = regexp.MustCompile("`[^`\n]+`")
	link   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	// mention is how code, manifests and help texts refer to a document.
	mention = regexp.MustCompile(`docs/[\w/-]+\.(?:md|yaml|png)(?:#[\w-]+)?`)
)

// TestLinksLeadSomewhere follows every link between documents, and every document that another
// file names, with its anchor.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	files := repository(t)
	followed := 0
	for name, text := range files {
		var targets []string
		if isDocument(name) {
			for _, m := range link.FindAllStringSubmatch(inline.ReplaceAllString(fence.ReplaceAllString(text, ""), ""), -1) {
				targets = append(targets, m[1])
			}
		} else {
			for _, m := range mention.FindAllString(text, -1) {
				targets = append(targets, "/"+m)
			}
		}
		for _, target := range targets {
			if own, ok := strings.CutPrefix(target, "https://github.com/roomspa/roomspa/blob/main"); ok {
				target = own
			}
			if strings.Contains(target, ":") {
				continue
			}
			followed++
			if why := broken(files, name, target); why != "" {
				t.Errorf("%s: the link to %s is broken: %s", name, target, why)
			}
		}
	}
	if followed < 100 {
		t.Errorf("only %d links were followed: the test looks in the wrong place", followed)
	}
}

// broken says what is wrong with a link in the file name, or returns "".
func broken(files map[string]string, name, target string) string {
	file, anchor, hasAnchor := strings.Cut(target, "#")
	switch {
	case file == "":
		file = name
	case strings.HasPrefix(file, "/"):
		file = file[1:]
	default:
		file = path.Join(path.Dir(name), file)
	}
	if _, err := os.Stat(filepath.Join(root, file)); err != nil {
		return "there is no " + file
	}
	if hasAnchor && !anchors(files[file])[anchor] {
		return file + " has no such heading"
	}
	return ""
}

// anchors returns the anchors that GitHub gives to the headings of a document.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(fence.ReplaceAllString(text, "")) {
		title := strings.TrimLeft(line, "#")
		if title == line || !strings.HasPrefix(title, " ") {
			continue
		}
		all[strings.Map(func(r rune) rune {
			switch {
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			case r == ' ':
				return '-'
			}
			return -1
		}, strings.TrimSpace(title))] = true
	}
	return all
}
