package adopt

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/postgres"
	"github.com/roomspa/roomspa/internal/room"
)

// users numbers those that share an e-mail address or a phone number, so that no
// list of all of them has to be kept here.
func (t *Tables) users() string {
	id, email, phone := column("u", t.UserID), column("u", t.UserEmail), column("u", t.UserPhone)
	return fmt.Sprintf(`
SELECT %[1]s::bigint, coalesce(%[2]s::text, ''), coalesce(%[3]s::text, ''), coalesce(%[4]s::text, ''), coalesce(%[5]s::boolean, false),
	coalesce(%[6]s::text, ''), %[7]s::timestamptz,
	row_number() OVER (PARTITION BY lower(%[2]s::text) ORDER BY %[1]s), row_number() OVER (PARTITION BY %[3]s::text ORDER BY %[1]s)
FROM %[8]s u ORDER BY 1`,
		id, email, phone, column("u", t.UserRole), column("u", t.UserActive),
		column("u", t.UserPassword), column("u", t.UserJoined), quote(t.Users))
}

// users brings the users over. First of all it looks whether the tables are there.
func (im *importer) users(ctx context.Context) error {
	var batch []postgres.ImportedUser
	highest := room.UserID(0)
	flush := func() error {
		err := im.writeUsers(ctx, batch)
		batch = batch[:0]
		return err
	}
	err := im.source.each(ctx, im.o.Tables.users(), func(rows pgx.Rows) error {
		var u postgres.ImportedUser
		var id, sameEmail, samePhone int64
		var role string
		var joined *time.Time
		if err := rows.Scan(&id, &u.Email, &u.Phone, &role, &u.Active, &u.Hash, &joined, &sameEmail, &samePhone); err != nil {
			return fmt.Errorf("read a user: %w", err)
		}
		im.report.Users.Read++
		u.ID, u.CreatedAt = room.UserID(id), im.now
		if joined != nil {
			u.CreatedAt = *joined
		}
		if why := im.judgeUser(&u, role, sameEmail, samePhone); why != "" {
			im.leaveUser(u.ID, why)
			return im.tooMuchLeftOut()
		}
		highest = max(highest, u.ID)
		if batch = append(batch, u); len(batch) < batchRows {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	if err == nil && im.report.Users.Added > 0 && !im.o.Rehearse {
		err = im.target.ReserveUserIDs(ctx, highest)
	}
	return err
}

// judgeUser returns why a user cannot come over, and mends what can be mended.
func (im *importer) judgeUser(u *postgres.ImportedUser, role string, sameEmail, samePhone int64) string {
	id := strconv.FormatInt(int64(u.ID), 10)
	var ok bool
	switch u.Role, ok = im.role(role); {
	case u.ID < 1 || u.ID > room.MaxID:
		return "bad_user_id"
	case !ok:
		return "unknown_role"
	case !utf8.ValidString(u.Email) || !utf8.ValidString(u.Hash) || strings.ContainsRune(u.Email+u.Hash, 0):
		return "unreadable_user"
	case u.Email != "" && sameEmail > 1:
		return "duplicate_email"
	}
	if u.Email == "" {
		u.Email = "user-" + id + "@no-email.invalid" // RFC 2606 §2
		im.report.find("no_email", id)
	}
	switch {
	case u.Phone == "":
	case strings.Contains(u.Phone, "@") || !utf8.ValidString(u.Phone):
		u.Phone = ""
		im.report.find("no_phone", id)
	case samePhone > 1:
		u.Phone = ""
		im.report.find("duplicate_phone", id)
	}
	if auth.CheckHash(u.Hash) != nil {
		im.report.find("unknown_hash", id)
	}
	return ""
}

func (im *importer) leaveUser(id room.UserID, why string) {
	im.report.Users.LeftOut++
	im.report.find(why, strconv.FormatInt(int64(id), 10))
	im.noUser[id] = true
}

func (im *importer) writeUsers(ctx context.Context, batch []postgres.ImportedUser) error {
	if len(batch) == 0 {
		return nil
	}
	done, err := im.target.ImportUsers(ctx, batch, !im.o.Rehearse)
	if err != nil {
		return err
	}
	im.report.Users.Added += done.Added
	im.report.Users.Known += done.Known
	for _, id := range done.Changed {
		im.report.find("user_changed", strconv.FormatInt(int64(id), 10))
	}
	for _, id := range done.Taken {
		im.leaveUser(id, "email_or_phone_taken")
	}
	// Their rows are there, with nothing in them: rooms go on to exist.
	for _, id := range done.Erased {
		im.report.Users.LeftOut++
		im.report.find("erased_user", strconv.FormatInt(int64(id), 10))
	}
	im.tell(false)
	return im.tooMuchLeftOut()
}
