package auth

import (
	"fmt"
	"strings"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// Check signs a token that lives for ttl and verifies it. It returns the ids of the
// secrets as text, and what may be wrong with the secrets.
func (k *Keys) Check(ttl time.Duration) (detail string, warnings []string, err error) {
	token, _, err := k.Mint(Access, room.MaxID, time.Now(), ttl)
	if err != nil {
		return "", nil, err
	}
	if _, err := k.Verify(token, time.Now()); err != nil {
		return "", nil, err
	}
	ids := k.IDs()
	for i, id := range ids {
		if id == "" {
			ids[i] = "without a kid"
		}
	}
	detail = fmt.Sprintf("HS256 secrets: %d (%s); the first one signs new tokens", len(ids), strings.Join(ids, ", "))
	return detail, k.warnings(true), nil
}
