package diagnose_test

import (
	"flag"
	"testing"

	"go.uber.org/goleak"

	"github.com/roomspa/roomspa/internal/testkit/sandbox/sandboxtest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		_ = f.Value.Set("8") // these tests mostly wait
	}
	goleak.VerifyTestMain(sandboxtest.Tests{M: m},
		// The library asks a server that is down once a second whether it is back, and looks only then whether it was closed.
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
