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

// selectUsers numbers users with the same email or phone, so that duplicates are found
// without holding all users in memory.
func (t *Tables) selectUsers() string {
	id, email, phone := column("u", t.UserID), column("u", t.UserEmail), column("u", t.UserPhone)
	return fmt.Sprintf(`
SELECT %[1]s::bigint, coalesce(%[2]s::text, ''), coalesce(%[3]s::text, ''), coalesce(%[4]s::text, ''), coalesce(%[5]s::boolean, false),
	coalesce(%[6]s::text, ''), %[7]s::timestamptz,
	row_number() OVER (PARTITION BY lower(%[2]s::text) ORDER BY %[1]s), row_number() OVER (PARTITION BY %[3]s::text ORDER BY %[1]s)
FROM %[8]s u ORDER BY 1`,
		id, email, phone, column("u", t.UserRole), column("u", t.UserActive),
		column("u", t.UserPassword), column("u", t.UserJoined), quote(t.Users))
}

func (im *importer) importUsers(ctx context.Context) error {
	highest := room.UserID(0)
	err := importRows(ctx, im, im.o.Tables.selectUsers(), func(rows pgx.Rows) (u postgres.ImportedUser, ok bool, err error) {
		var emailNumber, phoneNumber int64
		var role string
		var joined *time.Time
		if err := rows.Scan(&u.ID, &u.Email, &u.Phone, &role, &u.Active, &u.Hash, &joined, &emailNumber, &phoneNumber); err != nil {
			return u, false, err
		}
		im.report.Users.Read++
		if u.CreatedAt = im.now; joined != nil {
			u.CreatedAt = *joined
		}
		if kind := im.checkUser(&u, role, emailNumber, phoneNumber); kind != "" {
			im.skipUser(u.ID, kind)
			return u, false, nil
		}
		highest = max(highest, u.ID)
		return u, true, nil
	}, func(u postgres.ImportedUser) int { return len(u.Email) + len(u.Phone) + len(u.Hash) }, im.writeUsers)
	if err == nil && im.report.Users.Added > 0 && !im.o.Rehearse {
		err = im.target.ReserveUserIDs(ctx, highest)
	}
	return err
}

// checkUser returns the finding if a user cannot be imported, or "". It sets the role and
// corrects what can be corrected.
func (im *importer) checkUser(u *postgres.ImportedUser, role string, emailNumber, phoneNumber int64) string {
	id := strconv.FormatInt(int64(u.ID), 10)
	var ok bool
	switch u.Role, ok = im.role(role); {
	case u.ID < 1 || u.ID > room.MaxID:
		return "bad_user_id"
	case !ok:
		return "unknown_role"
	case !utf8.ValidString(u.Email) || !utf8.ValidString(u.Hash) || strings.ContainsRune(u.Email+u.Hash, 0):
		return "unreadable_user"
	case u.Email != "" && emailNumber > 1:
		return "duplicate_email"
	}
	if u.Email == "" {
		u.Email = "user-" + id + "@no-email.invalid" // RFC 2606 §2
		im.report.add("no_email", 1, id)
	}
	switch {
	case u.Phone == "":
	case strings.Contains(u.Phone, "@") || !utf8.ValidString(u.Phone):
		u.Phone = ""
		im.report.add("no_phone", 1, id)
	case phoneNumber > 1:
		u.Phone = ""
		im.report.add("duplicate_phone", 1, id)
	}
	if auth.CheckHash(u.Hash) != nil {
		im.report.add("unknown_hash", 1, id)
	}
	return ""
}

func (im *importer) skipUser(id room.UserID, kind string) {
	im.report.Users.LeftOut++
	im.report.add(kind, 1, strconv.FormatInt(int64(id), 10))
	im.skippedUsers[id] = true
}

func (im *importer) writeUsers(ctx context.Context, batch []postgres.ImportedUser) error {
	done, err := im.target.ImportUsers(ctx, batch, !im.o.Rehearse)
	if err != nil {
		return err
	}
	im.report.Users.Added += done.Added
	im.report.Users.Known += done.Known
	for _, id := range done.Changed {
		im.report.add("user_changed", 1, strconv.FormatInt(int64(id), 10))
	}
	for _, id := range done.Taken {
		im.skipUser(id, "email_or_phone_taken")
	}
	// Erased users still have an empty row, so their rooms are not skipped.
	for _, id := range done.Erased {
		im.report.Users.LeftOut++
		im.report.add("erased_user", 1, strconv.FormatInt(int64(id), 10))
	}
	return nil
}
