package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/roomspa/roomspa/internal/unseen"
)

// A Secret is an HS256 secret.
type Secret struct {
	ID   string `json:"kid"` // empty if the key has none
	Text string `json:"secret"`
}

// byteOrderMark is what some editors put before a text.
const byteOrderMark = "\ufeff"

// ParseSecrets returns the secrets in texts, where commas and line breaks separate them. White
// space and byte order marks around a secret do not belong to it, and empty entries do not
// count. All else is part of a secret.
func ParseSecrets(texts ...string) (secrets []string) {
	for _, text := range texts {
		for entry := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
			entry = strings.TrimFunc(entry, func(r rune) bool { return unicode.IsSpace(r) || string(r) == byteOrderMark })
			if entry != "" {
				secrets = append(secrets, entry)
			}
		}
	}
	return secrets
}

// errNotKeys contains nothing of the file.
var errNotKeys = errors.New(`the file is not JSON of the form {"keys": [{"kid": "2026", "secret": "…"}, {"secret": "…"}]}`)

// parseKeysFile parses the JSON of a file of secrets, which are taken as they are.
func parseKeysFile(text string) ([]Secret, error) {
	var file struct {
		Keys []Secret `json:"keys"`
	}
	in := json.NewDecoder(strings.NewReader(strings.TrimPrefix(text, byteOrderMark)))
	in.DisallowUnknownFields()
	if err := in.Decode(&file); err != nil {
		return nil, errNotKeys
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return nil, errNotKeys
	}
	return file.Keys, nil
}

// djangoInsecure is the prefix of the keys that Django makes for new projects. They are in the
// source of the project.
var djangoInsecure = []byte("django-insecure-")

// warnings returns what may be wrong with the own keys, without any part of a secret. kids is
// whether their source can give them key ids.
func (k *Keys) warnings(kids bool) (texts []string) {
	for i, key := range k.own() {
		secret, _ := key.verify.([]byte)
		if bytes.HasPrefix(secret, djangoInsecure) {
			texts = append(texts, fmt.Sprintf("JWT secret %d begins with django-insecure-: Django made it for development, and it may be in a repository. "+
				"Whoever knows it can sign in as anybody; replace SECRET_KEY and this secret", i+1))
		}
		if _, found := unseen.Ends(string(secret)); found != "" {
			texts = append(texts, fmt.Sprintf("JWT secret %d has %s, which is taken as a part of it: remove that, unless every other program that signs or verifies tokens has it too", i+1, found))
		}
		if looksEncoded(secret) {
			texts = append(texts, fmt.Sprintf("JWT secret %d is base64 of a readable text, and is taken as it is: if the issuer signs with that text, the secret was encoded once too often "+
				"(Kubernetes data: instead of stringData:?)", i+1))
		}
		id, rest, found := bytes.Cut(secret, []byte("="))
		if !kids && found && (len(id) == 0 || isKeyID(string(id))) && len(rest) >= MinSecret {
			texts = append(texts, fmt.Sprintf("JWT secret %d contains = and is taken as a whole. If it was written as kid=secret or =secret, which earlier versions split, "+
				"remove that part, or move both to --jwt-keys-file", i+1))
		}
	}
	return texts
}
