package inspect

import (
	"testing"
)

func TestPack(t *testing.T) {
	r := report{Replica: "a", Data: marshal(Connections{Total: 3})}
	var back report
	if err := unpack(pack(r), &back); err != nil || back.Replica != "a" {
		t.Fatal(err, back)
	}
	var c Connections
	if err := unmarshal(back.Data, &c); err != nil || c.Total != 3 {
		t.Fatal(err, c)
	}
}
