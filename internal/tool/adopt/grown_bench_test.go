package adopt_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/tool/adopt"
)

// fill is ten messages for each of so many pairs.
const fill = `
INSERT INTO "User_userprofile" (id, name, email, role, is_active, is_staff, is_superuser, password, gender, consent, verification_status, date_created)
	SELECT 1000 + n, 'name', 'grown' || n || '@example.com', CASE WHEN n %% 2 = 1 THEN 'customer' ELSE 'therapist' END, true, false, false, '!', 'other', true, true, now()
	FROM generate_series(1, 2 * %[1]d) n;
INSERT INTO chat_conversation (id, updated_at, created_at, is_active) SELECT 1000 + n, now(), now(), true FROM generate_series(1, %[1]d) n;
INSERT INTO chat_conversation_participants (conversation_id, userprofile_id)
	SELECT 1000 + n, u FROM generate_series(1, %[1]d) n CROSS JOIN LATERAL unnest(ARRAY[1000 + 2 * n - 1, 1000 + 2 * n]) u;
INSERT INTO chat_message (id, conversation_id, sender_id, receiver_id, content, created_at, is_read, message_type)
	SELECT 1000 + i * %[1]d + n, 1000 + n, 1000 + 2 * n - i %% 2, 1000 + 2 * n - 1 + i %% 2, 'Good morning, I am on my way and will be there in ten minutes.',
		now() - interval '100 days' + i * interval '1 day' + n * interval '1 millisecond', i < 8, 'text'
	FROM generate_series(0, 9) i, generate_series(1, %[1]d) n;
ANALYZE`

// BenchmarkGrowAdopt measures what 1,000 messages take to adopt in small and in large tables: the first time, and again
// when nothing is new.
func BenchmarkGrowAdopt(b *testing.B) {
	var small float64
	for _, messages := range []int{50_000, 500_000} {
		b.Run(fmt.Sprint("messages=", messages), func(b *testing.B) {
			for b.Loop() {
				d := predecessor(b)
				d.exec(b, fmt.Sprintf(fill, messages/10))
				perThousand := func() float64 {
					began := time.Now()
					a := d.open(b, func(o *adopt.Options) { o.Batch = 0 })
					if _, err := a.Apply(b.Context()); err != nil {
						b.Fatal(err)
					}
					return float64(time.Since(began).Microseconds()) / float64(messages)
				}
				first := perThousand()
				b.ReportMetric(first, "adopt-1000-ms")
				b.ReportMetric(perThousand(), "adopt-1000-again-ms")
				if small == 0 {
					small = first
				} else if first > 3*small {
					b.Errorf("1,000 messages take %.0f ms, and %.0f ms in a small table", first, small)
				}
			}
		})
	}
}
