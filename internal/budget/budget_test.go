package budget_test

import (
	"sync"
	"testing"

	"github.com/roomspa/roomspa/internal/budget"
)

func open(b *budget.Budget, anonymous bool) *budget.Account {
	a := &budget.Account{}
	a.Open(b, anonymous)
	return a
}

// fill takes bytes in steps until it is refused.
func fill(a *budget.Account, step int) (taken int) {
	for a.Take(step) {
		taken += step
	}
	return taken
}

func TestShares(t *testing.T) {
	t.Parallel()
	b := budget.New(1 << 20)
	one := open(b, false)
	if n := fill(one, 1024); n != 1<<19 {
		t.Errorf("one alone takes %d, want half", n)
	}
	if n := fill(open(b, false), 1024); n != 1<<18 {
		t.Errorf("the second takes %d, want half of the rest", n)
	}
	one.Close()
	if n := fill(open(b, true), 1024); n < 1<<17 || n > 1<<18 {
		t.Errorf("an anonymous one takes %d", n)
	}
	for range 10_000 {
		fill(open(b, true), 64)
	}
	if n := fill(open(b, false), 64); n == 0 {
		t.Error("a newcomer finds no room among thousands")
	}
	if b.Held() > b.Total() {
		t.Errorf("%d of %d are held", b.Held(), b.Total())
	}
}

func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	b := budget.New(1 << 16)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			a := open(b, i%2 == 0)
			for n := range 1000 {
				if a.Take(n % 700) {
					a.Give(n % 700)
				}
			}
			a.Take(10)
			a.Close()
		})
	}
	all.Wait()
	if b.Held() != 0 {
		t.Errorf("%d bytes are held by nobody", b.Held())
	}
}

func TestWithoutABudgetThereIsNoLimit(t *testing.T) {
	t.Parallel()
	var a budget.Account
	if !a.Take(1<<40) || !open(nil, true).Take(1<<40) {
		t.Error("refused")
	}
	a.Give(1)
	a.Close()
}

func BenchmarkTakeAndGive(b *testing.B) {
	a := open(budget.New(1<<20), false)
	for b.Loop() {
		a.Take(100)
		a.Give(100)
	}
}

// A budget that shrinks below what is held gives nothing until enough is given back.
func TestASmallerBudget(t *testing.T) {
	t.Parallel()
	b := budget.New(1 << 20)
	first := open(b, false)
	fill(first, 1024)
	b.Resize(1 << 18)
	if b.Total() != 1<<18 || b.Held() != 1<<19 {
		t.Errorf("%d of %d are held", b.Held(), b.Total())
	}
	if n := fill(open(b, false), 1); n != 0 {
		t.Errorf("a newcomer takes %d of less than nothing", n)
	}
	first.Close()
	if n := fill(open(b, false), 1024); n != 1<<17 {
		t.Errorf("one alone takes %d of the smaller budget, want half", n)
	}
	b.Resize(1 << 20)
	if n := fill(open(b, false), 1024); n < 1<<18 {
		t.Errorf("one takes %d of the larger budget", n)
	}
}
