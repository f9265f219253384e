package app

import (
	"cmp"
	"fmt"
	"log/slog"

	"github.com/roomspa/roomspa/internal/auth"
	"github.com/roomspa/roomspa/internal/memory"
	"github.com/roomspa/roomspa/internal/session"
)

// OwnProcess tells the replica that it has the process for itself: it sets the garbage
// collector's memory limit, and returns memory to the system after bursts of work.
// Call it before Run.
func (a *App) OwnProcess() {
	a.ownProcess = true
	a.tasks = append(a.tasks, []task{{"memory", memory.ReturnAfterBursts}})
	if gcLimit := a.limitHeap(); gcLimit > 0 {
		a.logf(slog.LevelInfo, "Memory: %d of %d MiB used; garbage collector limit %d MiB", a.memory.Used()>>20, a.memory.Limit()>>20, gcLimit>>20)
		a.warnOfMemory()
	}
}

// limitHeap sets the limit of the garbage collector and returns it, or 0 if there is none.
func (a *App) limitHeap() int64 {
	return a.memory.LimitHeap(int64(a.loginConcurrency()) * auth.PasswordMemory)
}

// loginConcurrency returns the number of passwords to work on at a time.
func (a *App) loginConcurrency() int {
	return cmp.Or(a.options.LoginConcurrency, auth.DefaultConcurrency(a.memory.Limit()))
}

// resizeMemory adapts everything that depends on the memory limit. Sockets stay open: if more
// is used than the new limit allows, new ones are refused.
func (a *App) resizeMemory(before, now int64) {
	a.budget.Resize(budgetSize(now))
	a.limits.SetMemory(now)
	a.passwords.Resize(a.loginConcurrency())
	text := fmt.Sprintf("Memory limit changed from %s to %s; %d MiB used", mebibytes(before), mebibytes(now), a.memory.Used()>>20)
	if a.ownProcess {
		text += "; garbage collector limit " + mebibytes(a.limitHeap())
	}
	a.logf(slog.LevelInfo, "%s", text)
	a.warnOfMemory()
}

// mebibytes returns a limit as text.
func mebibytes(limit int64) string {
	if limit == 0 {
		return "none"
	}
	return fmt.Sprintf("%d MiB", limit>>20)
}

// warnOfMemory logs what a limit that is too low makes impossible.
func (a *App) warnOfMemory() {
	if !a.memory.Fits(auth.PasswordMemory) {
		a.logf(slog.LevelWarn, "Memory limit too low: verifying a password takes %d MiB; all sign-ins are refused (503 busy)", auth.PasswordMemory>>20)
	}
	if a.memory.Share() > session.SoftMemory {
		a.logf(slog.LevelWarn, "Memory limit too low: all sockets are refused (1013 busy)")
	}
}
