package room

import "encoding/json"

// MaxMetadata and MaxMetadataDepth are the bounds of Draft.Metadata: its bytes, and how deep its
// objects and arrays may nest.
const (
	MaxMetadata      = 4 << 10
	MaxMetadataDepth = 16
)

// validateMetadata checks metadata, which may be empty. It is stricter than JSON: a message that
// the parser of a client refuses, because of its depth or of a number, would block its
// conversation there.
func validateMetadata(metadata string) *Invalid {
	if metadata == "" {
		return nil
	}
	var v any // on the heap, so not before
	switch {
	case metadata[0] != '{':
		return &Invalid{"bad_frame", "metadata", "metadata must be a JSON object"}
	case len(metadata) > MaxMetadata:
		return &Invalid{"too_long", "metadata", "metadata has more than " + itoa(MaxMetadata) + " bytes"}
	case json.Unmarshal([]byte(metadata), &v) != nil:
		return &Invalid{"bad_frame", "metadata", "metadata must be a JSON object with numbers that fit into 64-bit floating point"}
	case depth(v) > MaxMetadataDepth:
		return &Invalid{"bad_frame", "metadata", "metadata nests deeper than " + itoa(MaxMetadataDepth) + " levels"}
	}
	return nil
}

// depth returns how deep objects and arrays nest in a decoded JSON value.
func depth(v any) (deepest int) {
	switch v := v.(type) {
	case map[string]any:
		for _, member := range v {
			deepest = max(deepest, depth(member))
		}
	case []any:
		for _, element := range v {
			deepest = max(deepest, depth(element))
		}
	default:
		return 0
	}
	return deepest + 1
}
