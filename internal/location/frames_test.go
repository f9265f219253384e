package location_test

import (
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

func TestPositionsThatAreRefused(t *testing.T) {
	t.Parallel()
	r := world.New(t).Ready(t, "a")
	at := func(more string) string { return `{"latitude":1,"longitude":2` + more + `}` }
	for name, c := range map[string]struct{ frame, code, field string }{
		"latitude 91":            {`{"latitude":91,"longitude":2}`, "out_of_range", "latitude"},
		"latitude -90.0001":      {`{"latitude":-90.0001,"longitude":2}`, "out_of_range", "latitude"},
		"longitude 181":          {`{"latitude":1,"longitude":181}`, "out_of_range", "longitude"},
		"latitude NaN":           {`{"latitude":NaN,"longitude":2}`, "missing_field", "latitude"},
		"latitude NaN as text":   {`{"latitude":"NaN","longitude":2}`, "bad_frame", "latitude"},
		"latitude beyond floats": {`{"latitude":1e400,"longitude":2}`, "out_of_range", "latitude"},
		"no longitude":           {`{"latitude":1}`, "missing_field", "longitude"},
		"longitude null":         {`{"latitude":1,"longitude":null}`, "missing_field", "longitude"},
		"no latitude":            {`{"longitude":1}`, "missing_field", "latitude"},
		"nothing":                {`{}`, "missing_field", "latitude"},
		"accuracy -1":            {at(`,"accuracy":-1`), "out_of_range", "accuracy"},
		"an unknown type":        {at(`,"type":"chat_message"`), "unknown_type", "type"},
		"a chat message":         {`{"message":"hi"}`, "missing_field", "latitude"},
		"not JSON":               {`here`, "bad_json", ""},
		"an array":               {`[1,2]`, "bad_json", ""},
		"capitals":               {`{"Latitude":1,"longitude":2}`, "missing_field", "latitude"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, other := r.Location(t, world.Therapist), r.Location(t, world.Customer)
			s.Send(t, c.frame)
			s.ExpectError(t, c.code, c.field)
			s.ExpectNothing(t)
			other.ExpectNothing(t)
		})
	}
}
