package auth

// ParseKeySet returns how many keys a key set has, for the fuzzer.
func ParseKeySet(text []byte) (int, error) {
	keys, _, err := parseKeySet(text)
	return len(keys), err
}
