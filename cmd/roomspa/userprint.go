package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

// printUsers prints a line for each user.
func printUsers(out io.Writer, users []room.User, asJSON bool) error {
	for i := range users {
		u := &users[i]
		if asJSON {
			if err := json.NewEncoder(out).Encode(userJSON(u)); err != nil {
				return err
			}
			continue
		}
		line := fmt.Sprintf("%-6d %-10s %s", u.ID, u.Role, u.Email)
		if u.Phone != "" {
			line += "  " + u.Phone
		}
		if !u.Active {
			line += "  (deactivated)"
		}
		if !u.TokensValidAfter.IsZero() {
			line += "  (tokens from before " + u.TokensValidAfter.Format(time.RFC3339) + " are refused)"
		}
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	return nil
}

func userJSON(u *room.User) any {
	out := struct {
		ID     room.UserID `json:"id"`
		Email  string      `json:"email,omitempty"`
		Phone  string      `json:"phone,omitempty"`
		Role   room.Role   `json:"role"`
		Active bool        `json:"is_active"`
		After  *time.Time  `json:"tokens_valid_after,omitempty"`
	}{u.ID, u.Email, u.Phone, u.Role, u.Active, nil}
	if !u.TokensValidAfter.IsZero() {
		out.After = &u.TokensValidAfter
	}
	return out
}
