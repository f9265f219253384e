package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/room"
	"github.com/roomspa/roomspa/internal/tool/judge"
)

// pagesLimit bounds the reading of all pages.
const pagesLimit = 5 * time.Minute

// writePages reads the messages of all rooms as an app of the predecessor does, and writes them for
// the judge.
func (d *deployment) writePages(ctx context.Context, rooms []*roomState) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pagesLimit)
	defer cancel()
	return writeLines(filepath.Join(d.dir, judge.PagesFile), func(write func(any) error) error {
		for i, r := range rooms {
			if err := d.readRoom(ctx, d.replicas[i%len(d.replicas)].addr, r.room, write); err != nil {
				return fmt.Errorf("read the messages of %d/%d: %w", r.room.Customer, r.room.Therapist, err)
			}
		}
		return nil
	})
}

// readRoom reads the pages of a room, which may have no conversation.
func (d *deployment) readRoom(ctx context.Context, addr string, r room.Room, write func(any) error) error {
	token, _, err := d.keys.Mint(auth.Access, r.Customer, time.Now(), tokenTTL)
	if err != nil {
		return err
	}
	var list []struct {
		ID           int64         `json:"id"`
		Participants []room.UserID `json:"participants"`
	}
	if err := getJSON(ctx, "http://"+addr+"/chat/conversations/", token, &list); err != nil {
		return err
	}
	for _, c := range list {
		if !slices.Contains(c.Participants, r.Therapist) {
			continue
		}
		next := "http://" + addr + "/chat/messages/?page_size=100&conversation_id=" + strconv.FormatInt(c.ID, 10)
		for next != "" {
			var page struct {
				Next    string `json:"next"`
				Results []struct {
					ID      int64  `json:"id"`
					Sender  int64  `json:"sender"`
					Content string `json:"content"`
				} `json:"results"`
			}
			if err := getJSON(ctx, next, token, &page); err != nil {
				return err
			}
			for _, m := range page.Results {
				err := write(judge.Page{Customer: int64(r.Customer), Therapist: int64(r.Therapist), Number: m.ID, Sender: m.Sender, Text: judge.Hash(m.Content)})
				if err != nil {
					return err
				}
			}
			next = page.Next
		}
	}
	return nil
}

// getJSON decodes an answer. It tries again where the server is busy.
func getJSON(ctx context.Context, address, token string, answer any) error {
	for {
		again, err := tryJSON(ctx, address, token, answer)
		if err == nil || !again || !pause(ctx, 100*time.Millisecond) {
			return err
		}
	}
}

func tryJSON(ctx context.Context, address, token string, answer any) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false, fmt.Errorf("ask for a page: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return true, fmt.Errorf("ask for a page: %w", err)
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	if res.StatusCode != http.StatusOK {
		return res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= http.StatusInternalServerError, errors.New("ask for a page: " + res.Status)
	}
	if err := json.NewDecoder(res.Body).Decode(answer); err != nil {
		return false, fmt.Errorf("read a page: %w", err)
	}
	return false, nil
}
