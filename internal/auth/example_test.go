package auth_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
)

// A secret is rotated in two steps, and nobody is signed out: the new one verifies first, then it signs.
func ExampleKeys() {
	const old, next = "an old secret of 32 bytes or more!", "a new secret of 32 bytes or more!!"
	now := time.Now()
	before, _ := auth.NewKeys([]string{old})
	token, _, _ := before.Mint(auth.Access, 7, now, time.Minute)

	both, _ := auth.NewKeys([]string{next, old})
	claims, err := both.Verify(token, now)
	fmt.Println(claims.UserID, err)

	after, _ := auth.NewKeys([]string{next})
	_, err = after.Verify(token, now)
	refusal, _ := errors.AsType[*auth.Refusal](err)
	fmt.Println(refusal.Word)
	// Output:
	// 7 <nil>
	// bad_signature
}
