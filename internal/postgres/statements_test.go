package postgres_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// statements returns every constant of the package that is SQL, by name.
func statements(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	exprs := map[string]ast.Expr{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.CONST {
				for _, spec := range d.Specs {
					v := spec.(*ast.ValueSpec)
					for i, value := range v.Values {
						exprs[v.Names[i].Name] = value
					}
				}
			}
		}
	}
	found := map[string]string{}
	for name, expr := range exprs {
		text := evaluate(exprs, expr)
		if regexp.MustCompile(`^\s*(SELECT|INSERT|UPDATE|DELETE|WITH|LOCK)\b`).MatchString(text) {
			found[name] = text
		}
	}
	return found
}

// evaluate concatenates string constants.
func evaluate(exprs map[string]ast.Expr, e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, _ := strconv.Unquote(e.Value)
		return s
	case *ast.Ident:
		return evaluate(exprs, exprs[e.Name])
	case *ast.BinaryExpr:
		return evaluate(exprs, e.X) + evaluate(exprs, e.Y)
	}
	return ""
}

// ofSmallTables are statements that may read whole tables: these have a few rows.
var ofSmallTables = []string{
	"probe", "appliedVersions", "otherHeartbeats", "deleteOldHeartbeats", "selectKeys", "deleteExpiredKeys", "keysToRotate", "expireOtherKeys", "adoptOrigin",
	"forgetUserChanges", // a minute's
	"insertsUnderWay", "migrationBlockers", "invalidIndex",
	"roleAndUsage", "lackingPrivileges", "serverFacts", "hidingTables", "foreignTriggers", "unvacuumedTables", "heldLog", // catalogs, by roomspa check
	"selectAnyUser",           // stops at the first row
	"foreignEmails",           // once for each run of migrations
	"credentialsByExactEmail", // is for a view: TestAnAddressIsFoundInDjangosTableByItsIndex
}

var wholeTable = regexp.MustCompile(`Seq Scan on (\w+)`)

// smallTables have one row, one for each replica, or those of a minute.
var smallTables = []string{"user_changes", "deployment", "replicas", "master_keys", "compatibility", "adoption"}

func TestEveryStatementFitsTheSchemaAndItsIndexes(t *testing.T) {
	t.Parallel()
	// Empty tables, as they are right after a migration: the plan is kept while they grow.
	if n := checkPlans(t, direct(t, database(t))); n < 15 {
		t.Fatalf("found only %d statements", n)
	}
}

// checkPlans checks that no statement reads a whole table, and returns how many statements there are.
func checkPlans(t testing.TB, conn *pgx.Conn) int {
	t.Helper()
	all := statements(t)
	execute(t, conn, "SET plan_cache_mode = force_generic_plan; SET max_parallel_workers_per_gather = 0") // as in a session of a replica
	for name, sql := range all {
		if strings.HasPrefix(sql, "LOCK") {
			execute(t, conn, "BEGIN;"+sql+";ROLLBACK")
			continue
		}
		if _, err := conn.Prepare(t.Context(), name, sql); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if slices.Contains(ofSmallTables, name) {
			continue
		}
		explain := fmt.Sprintf(`EXPLAIN EXECUTE %q`, name)
		if n := parameters(sql); n > 0 {
			explain += "(NULL" + strings.Repeat(", NULL", n-1) + ")"
		}
		rows, err := conn.Query(t.Context(), explain, pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("%s: %v", explain, err)
		}
		for _, line := range plan {
			if table := wholeTable.FindStringSubmatch(line); table != nil && !slices.Contains(smallTables, table[1]) {
				t.Errorf("%s reads a whole table:\n%s", name, strings.Join(plan, "\n"))
			}
		}
	}
	return len(all)
}

// parameters returns how many a statement has.
func parameters(sql string) int {
	seen := map[string]bool{}
	for _, p := range regexp.MustCompile(`\$\d+`).FindAllString(sql, -1) {
		seen[p] = true
	}
	return len(seen)
}
