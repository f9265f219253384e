package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/golang-jwt/jwt/v5"
)

// The bounds of a key set. A token without a kid is verified with each key of its algorithm,
// so number and size of the keys bound the work that a stranger can cause.
const (
	maxKeySet   = 256 << 10 // bytes
	maxKeys     = 32
	minRSABits  = 2048 // RFC 7518 §3.3
	maxRSABits  = 8192
	maxExponent = 1<<31 - 1
	maxKeyID    = 256 // bytes
)

// A jwk holds the used members of a JSON Web Key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
type jwk struct {
	Type   string   `json:"kty"`
	Use    string   `json:"use"`
	Ops    []string `json:"key_ops"`
	Alg    string   `json:"alg"`
	ID     string   `json:"kid"`
	Curve  string   `json:"crv"`
	N      string   `json:"n"`
	E      string   `json:"e"`
	X      string   `json:"x"`
	Y      string   `json:"y"`
	Secret string   `json:"d"`
}

// parseKeySet parses a JWK Set (RFC 7517 §5). It returns the keys that verify RS256, ES256 or
// EdDSA, and the reasons why others were ignored. A set without usable keys is an error, so
// that an empty file does not remove all keys.
func parseKeySet(text []byte) (keys []key, skipped []error, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	switch {
	case len(text) > maxKeySet:
		return nil, nil, fmt.Errorf("the key set has more than %d bytes", maxKeySet)
	case json.Unmarshal(text, &set) != nil:
		return nil, nil, errors.New(`the key set is not a JSON object with "keys" (RFC 7517 §5)`)
	case len(set.Keys) > maxKeys:
		return nil, nil, fmt.Errorf("the key set has %d keys; the maximum is %d", len(set.Keys), maxKeys)
	}
	for i, raw := range set.Keys {
		k, err := parseKey(raw)
		if err != nil {
			skipped = append(skipped, fmt.Errorf("key %d: %w", i+1, err))
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, skipped, errors.Join(append([]error{errors.New("the key set has no key for RS256, ES256 or EdDSA")}, skipped...)...)
	}
	return keys, skipped, nil
}

// parseKey parses one key. The type and the curve of the key determine its algorithm, whatever
// a token's header asks for (RFC 8725 §3.1).
func parseKey(raw []byte) (key, error) {
	var j jwk
	if json.Unmarshal(raw, &j) != nil {
		return key{}, errors.New("not a JSON Web Key")
	}
	switch {
	case len(j.ID) > maxKeyID:
		return key{}, fmt.Errorf("kid has more than %d bytes", maxKeyID)
	case j.Secret != "":
		return key{}, errors.New("it contains the private key, which is therefore no longer secret")
	case j.Use != "" && j.Use != "sig":
		return key{}, errors.New("use is not sig")
	case j.Ops != nil && !slices.Contains(j.Ops, "verify"):
		return key{}, errors.New("key_ops does not include verify")
	}
	k := key{id: j.ID}
	var err error
	alg := ""
	switch {
	case j.Type == "RSA":
		k.method, alg = jwt.SigningMethodRS256, "RS256"
		k.verify, err = j.rsa()
	case j.Type == "EC" && j.Curve == "P-256":
		k.method, alg = jwt.SigningMethodES256, "ES256"
		k.verify, err = j.p256()
	case j.Type == "OKP" && j.Curve == "Ed25519":
		k.method, alg = jwt.SigningMethodEdDSA, "EdDSA"
		if j.Alg == "Ed25519" { // the name of EdDSA with this curve since RFC 9864
			j.Alg = alg
		}
		k.verify, err = j.ed25519()
	default: // includes "oct": a shared secret must not be published
		return key{}, errors.New("kty and crv must be RSA, EC with P-256, or OKP with Ed25519")
	}
	if err == nil && j.Alg != "" && j.Alg != alg {
		err = fmt.Errorf("alg is not %s", alg)
	}
	return k, err
}

func (j *jwk) rsa() (*rsa.PublicKey, error) {
	n, err := strictBase64.DecodeString(j.N)
	if err != nil || len(n) > maxRSABits/8+1 {
		return nil, errors.New("n is not a base64url number or too large")
	}
	e, err := strictBase64.DecodeString(j.E)
	if err != nil || len(e) > 8 {
		return nil, errors.New("e is not a base64url number or too large")
	}
	modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e)
	switch bits := modulus.BitLen(); {
	case bits < minRSABits || bits > maxRSABits || modulus.Bit(0) == 0:
		return nil, fmt.Errorf("n must be odd and have %d to %d bits; it has %d", minRSABits, maxRSABits, bits)
	case exponent.Bit(0) == 0 || exponent.Cmp(big.NewInt(3)) < 0 || exponent.Cmp(big.NewInt(maxExponent)) > 0:
		return nil, errors.New("e is not an odd number from 3 to 2^31-1")
	}
	return &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}, nil
}

func (j *jwk) p256() (*ecdsa.PublicKey, error) {
	x, xErr := strictBase64.DecodeString(j.X)
	y, yErr := strictBase64.DecodeString(j.Y)
	if xErr != nil || yErr != nil || len(x) != 32 || len(y) != 32 { // RFC 7518 §6.2.1.2
		return nil, errors.New("x and y are not 32 bytes each in base64url")
	}
	k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		return nil, errors.New("x and y are not a point on the curve")
	}
	return k, nil
}

func (j *jwk) ed25519() (ed25519.PublicKey, error) {
	x, err := strictBase64.DecodeString(j.X)
	if err != nil || len(x) != ed25519.PublicKeySize {
		return nil, errors.New("x is not 32 bytes in base64url")
	}
	return ed25519.PublicKey(x), nil
}
