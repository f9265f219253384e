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

// The bounds of a key set. A token without kid is tried with each key of its
// algorithm, so their number and their size are work that anybody can ask for.
const (
	maxKeySet   = 256 << 10 // bytes
	maxKeys     = 32
	minRSABits  = 2048 // RFC 7518 §3.3
	maxRSABits  = 8192
	maxExponent = 1<<31 - 1
	maxKeyID    = 256 // bytes
)

// A jwk is what counts of a JSON Web Key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
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

// parseKeySet reads a JWK Set (RFC 7517 §5) and returns its keys that verify
// RS256, ES256 or EdDSA, and why others are left out. A set without any is an
// error, so that an empty file does not pass for a rotation.
func parseKeySet(text []byte) (keys []key, skipped []error, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	switch {
	case len(text) > maxKeySet:
		return nil, nil, fmt.Errorf("it has more than %d bytes", maxKeySet)
	case json.Unmarshal(text, &set) != nil:
		return nil, nil, errors.New(`it is not a JSON object with "keys" (RFC 7517 §5)`)
	case len(set.Keys) > maxKeys:
		return nil, nil, fmt.Errorf("it has %d keys; %d are the most", len(set.Keys), maxKeys)
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
		return nil, skipped, errors.Join(append([]error{errors.New("it has no key for RS256, ES256 or EdDSA signatures")}, skipped...)...)
	}
	return keys, skipped, nil
}

// parseKey pins the algorithm by the type and the curve of the key: what a token's
// header asks for has no say in it (RFC 8725 §3.1).
func parseKey(raw []byte) (key, error) {
	var j jwk
	if json.Unmarshal(raw, &j) != nil {
		return key{}, errors.New("it is not a JSON object of a JWK's members")
	}
	switch {
	case len(j.ID) > maxKeyID:
		return key{}, errors.New("its kid is too long")
	case j.Secret != "":
		return key{}, errors.New("it holds its private half, and so is nobody's secret any more")
	case j.Use != "" && j.Use != "sig":
		return key{}, errors.New("its use is not sig")
	case j.Ops != nil && !slices.Contains(j.Ops, "verify"):
		return key{}, errors.New("its key_ops have no verify")
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
		if j.Alg == "Ed25519" { // its name since RFC 9864
			j.Alg = alg
		}
		k.verify, err = j.ed25519()
	default: // also "oct": a shared secret has no place in a public document
		return key{}, errors.New("its kty and crv are none of RSA, EC with P-256 and OKP with Ed25519")
	}
	if err == nil && j.Alg != "" && j.Alg != alg {
		err = fmt.Errorf("its alg is not %s", alg)
	}
	return k, err
}

func (j *jwk) rsa() (*rsa.PublicKey, error) {
	n, err := strict.DecodeString(j.N)
	if err != nil || len(n) > maxRSABits/8+1 {
		return nil, errors.New("its n is no number in base64url, or too large")
	}
	e, err := strict.DecodeString(j.E)
	if err != nil || len(e) > 8 {
		return nil, errors.New("its e is no number in base64url, or too large")
	}
	modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e)
	switch bits := modulus.BitLen(); {
	case bits < minRSABits || bits > maxRSABits || modulus.Bit(0) == 0:
		return nil, fmt.Errorf("its n has %d bits, or is even; RSA keys have %d to %d", bits, minRSABits, maxRSABits)
	case exponent.Bit(0) == 0 || exponent.Cmp(big.NewInt(3)) < 0 || exponent.Cmp(big.NewInt(maxExponent)) > 0:
		return nil, errors.New("its e is not an odd number from 3 to 2^31-1")
	}
	return &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}, nil
}

func (j *jwk) p256() (*ecdsa.PublicKey, error) {
	x, xErr := strict.DecodeString(j.X)
	y, yErr := strict.DecodeString(j.Y)
	if xErr != nil || yErr != nil || len(x) != 32 || len(y) != 32 { // RFC 7518 §6.2.1.2
		return nil, errors.New("its x and y are not 32 bytes each in base64url")
	}
	k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	if err != nil {
		return nil, errors.New("its x and y are no point of the curve")
	}
	return k, nil
}

func (j *jwk) ed25519() (ed25519.PublicKey, error) {
	x, err := strict.DecodeString(j.X)
	if err != nil || len(x) != ed25519.PublicKeySize {
		return nil, errors.New("its x is not 32 bytes in base64url")
	}
	return ed25519.PublicKey(x), nil
}
