package fleet

import (
	"testing"
	"time"

	"github.com/roomspa/roomspa/internal/room"
)

func TestHears(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	ago := func(seconds int) time.Time { return now.Add(time.Duration(-seconds) * time.Second) }
	var never time.Time
	for name, c := range map[string]struct {
		since, last time.Time
		hears, age  int // seconds
		want        hearing
	}{
		"it has just spoken":                                      {ago(600), ago(2), 600, 3, audible},
		"it has never spoken, and both hear themselves":           {ago(600), never, 600, 3, silent},
		"it has not spoken for long":                              {ago(600), ago(40), 600, 3, silent},
		"it has missed a few":                                     {ago(600), ago(25), 600, 3, audible},
		"this one does not hear itself":                           {never, ago(40), 600, 3, unsure},
		"this one hears nothing, itself neither, and never has":   {never, never, 600, 3, unsure},
		"this one has just begun to hear itself":                  {ago(29), never, 600, 0, unsure},
		"this one has heard itself for long enough":               {ago(30), never, 600, 0, silent},
		"for long enough now, but not by its last heartbeat":      {ago(40), never, 600, 11, unsure},
		"the other one does not hear itself":                      {ago(600), ago(40), 0, 3, unsure},
		"the other one has just started":                          {ago(600), never, 29, 3, unsure},
		"the other one has started a while ago":                   {ago(600), never, 30, 3, silent},
		"it has died right after its heartbeat":                   {ago(600), ago(27), 600, 24, audible},
		"it has died, and was not heard for long before":          {ago(600), ago(60), 600, 24, silent},
		"it is heard though it says that it does not hear itself": {ago(600), ago(1), 0, 3, audible},
		"it was heard after its last heartbeat":                   {ago(600), ago(1), 600, 20, audible},
	} {
		o := room.Heartbeat{HeardSelf: time.Duration(c.hears) * time.Second, Age: time.Duration(c.age) * time.Second}
		if got := hears(now, c.since, c.last, o); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestRefuse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		here, there []string // the first one signs
		want        bool
	}{
		"the same secret":                          {[]string{"a"}, []string{"a"}, false},
		"another secret":                           {[]string{"a"}, []string{"b"}, true},
		"a rotation begins":                        {[]string{"old"}, []string{"old", "new"}, false},
		"the other one signs":                      {[]string{"old", "new"}, []string{"new", "old"}, false},
		"a rotation ends":                          {[]string{"new", "old"}, []string{"new"}, false},
		"a rotation without its first step":        {[]string{"old"}, []string{"new", "old"}, true},
		"a rotation without its second step":       {[]string{"old", "new"}, []string{"new"}, true},
		"a common key that neither of them signs":  {[]string{"a", "c"}, []string{"b", "c"}, true},
		"one that both sign among different ones":  {[]string{"a", "b"}, []string{"a", "c"}, false},
		"both take what both sign, and one more":   {[]string{"a", "b"}, []string{"b", "a", "c"}, false},
		"the secret of an issuer is missing there": {[]string{"a", "issuer"}, []string{"a"}, false},
	} {
		here := room.Heartbeat{SigningKey: c.here[0], AcceptedKeys: c.here}
		there := room.Heartbeat{SigningKey: c.there[0], AcceptedKeys: c.there}
		if got := refuse(here, there); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if got := refuse(there, here); got != c.want {
			t.Errorf("%s, from the other side: %v", name, got)
		}
	}
}
