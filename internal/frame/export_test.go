package frame

// AppendString is for tests.
var AppendString = appendString
