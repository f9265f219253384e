package frame

// For tests and benchmarks.
var (
	AppendString       = appendString
	DecodeClientJSON   = decodeClient
	DecodePositionJSON = decodeLocated
)
