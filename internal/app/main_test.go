package app_test

import (
	"testing"

	"github.com/roomspa/roomspa/internal/testkit/world"
)

//go:generate go test . -run Golden -update

func TestMain(m *testing.M) { world.Main(m) }

type m = world.Object
