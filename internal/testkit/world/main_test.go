package sandboxtest_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/roomspa/roomspa/internal/testkit/sandbox/sandboxtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(sandboxtest.Tests{M: m}) }
