package logging

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Exemplar returns the labels of an exemplar of the connection, which lead from a metric to its
// story and its trace.
func (c *Conn) Exemplar() prometheus.Labels {
	labels := prometheus.Labels{"ref": c.Ref}
	if c.Trace != "" {
		labels["trace_id"] = c.Trace
	}
	return labels
}

// TraceID returns the trace id of a traceparent header (W3C Trace Context, §3.2), or "" if it is
// not valid.
func TraceID(traceparent string) string {
	const zeros = "00000000000000000000000000000000"
	parts := strings.Split(traceparent, "-")
	if len(parts) < 4 || !isHex(parts[0], 2) || !isHex(parts[1], 32) || !isHex(parts[2], 16) || !isHex(parts[3], 2) ||
		parts[0] == "ff" || parts[0] == "00" && len(parts) > 4 || parts[1] == zeros || parts[2] == zeros[:16] {
		return ""
	}
	return strings.Clone(parts[1]) // of the header, which is longer
}

func isHex(s string, size int) bool {
	return len(s) == size && strings.Trim(s, "0123456789abcdef") == ""
}
