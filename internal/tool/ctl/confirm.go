package ctl

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Confirm asks a question and reports whether the answer is yes.
func Confirm(in io.Reader, out io.Writer, question string) (bool, error) {
	if _, err := fmt.Fprint(out, question); err != nil {
		return false, fmt.Errorf("ask: %w", err)
	}
	line, _ := bufio.NewReader(in).ReadString('\n') // at the end of the input the answer is no
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes", nil
}
