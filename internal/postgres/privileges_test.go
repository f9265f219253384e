package postgres_test

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// ofCommands are statements that no replica runs: those of migrate, adopt, user, key, retention,
// report and message.
var ofCommands = []string{
	"beginErasure", "closeReport", "emptyLast", "eraseMessages", "eraseReports", "expireOtherKeys", "finishErasure", "insertUser", "insertUserWithID",
	"noteUserChange", "trimConversation",
}

// TestAReplicaNeedsNoMoreThanItsPrivileges gives a role exactly what needs lists, and plans every
// statement, which checks the privileges. Without one of them, a statement fails.
func TestAReplicaNeedsNoMoreThanItsPrivileges(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("privileges.go")
	if err != nil {
		t.Fatal(err)
	}
	listed := regexp.MustCompile(`\{"(\w+)", "([A-Z, ]+)"\}`).FindAllStringSubmatch(string(source), -1)
	url := database(t)
	owner := direct(t, url)
	var name string
	if err := owner.QueryRow(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
		t.Fatal(err)
	}
	role := "least_" + name
	execute(t, owner, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'x'", role))
	t.Cleanup(func() {
		_, _ = owner.Exec(context.WithoutCancel(t.Context()), fmt.Sprintf("DROP OWNED BY %[1]s; DROP ROLE %[1]s", role))
	})
	execute(t, owner, "GRANT USAGE ON SCHEMA roomspa TO "+role)
	for _, n := range listed {
		object := "roomspa." + n[1]
		if n[2] == "USAGE" {
			object = "SEQUENCE " + object
		}
		execute(t, owner, fmt.Sprintf("GRANT %s ON %s TO %s", n[2], object, role))
	}
	conn := direct(t, asUser(t, url, role))
	execute(t, conn, "SET plan_cache_mode = force_generic_plan")
	all := statements(t)
	denied := func() (names []string) {
		for statement := range all {
			if !slices.Contains(ofCommands, statement) && !mayRun(t, conn, statement, all[statement]) {
				names = append(names, statement)
			}
		}
		slices.Sort(names)
		return names
	}
	if names := denied(); len(names) > 0 {
		t.Errorf("a replica lacks a privilege for %s", strings.Join(names, ", "))
	}
	for _, n := range listed {
		if n[2] == "USAGE" { // the default of a column: it is looked at when a row is written
			continue
		}
		for p := range strings.SplitSeq(n[2], ", ") {
			execute(t, owner, fmt.Sprintf("REVOKE %s ON roomspa.%s FROM %s", p, n[1], role))
			if len(denied()) == 0 {
				t.Errorf("no statement needs %s on %s", p, n[1])
			}
			execute(t, owner, fmt.Sprintf("GRANT %s ON roomspa.%s TO %s", p, n[1], role))
		}
	}
}

// mayRun reports whether the role of a connection may run a statement.
func mayRun(t *testing.T, conn *pgx.Conn, name, sql string) bool {
	t.Helper()
	if strings.HasPrefix(strings.TrimSpace(sql), "LOCK") {
		return true
	}
	if _, err := conn.Prepare(t.Context(), name, sql); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	explain := fmt.Sprintf(`EXPLAIN EXECUTE %q`, name)
	if n := parameters(sql); n > 0 {
		explain += "(NULL" + strings.Repeat(", NULL", n-1) + ")"
	}
	_, err := conn.Exec(t.Context(), explain, pgx.QueryExecModeSimpleProtocol)
	if err != nil && !strings.Contains(err.Error(), "42501") {
		t.Fatalf("%s: %v", explain, err)
	}
	return err == nil
}
