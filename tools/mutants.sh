#!/usr/bin/env bash
# Breaks one guarantee after the other, by a build tag, and expects the tests that the table in docs/guarantees.md names
# to notice: each passes without the tag, and with it fails by an assertion of its own. A mutant that survives is an error.
# "tools/mutants.sh side_door" runs those whose name has that in it.
set -euo pipefail
cd "$(dirname "$0")/.."
only=${1-}
table=docs/guarantees.md
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT

# Of each row: the tag, a package and one of its tests.
rows=$(awk -F '|' '/^\| `mutant_/ {
  gsub(/[` ]/, "")
  n = split($4, packages, ";")
  for (i = 1; i <= n; i++) {
    split(packages[i], p, ":")
    m = split(p[2], tests, ",")
    for (j = 1; j <= m; j++) print $2, p[1], tests[j]
  }
}' $table)

known=$(cut -d ' ' -f 1 <<<"$rows" | sort -u)
tags=$(grep -rhoE --include='*.go' '^//go:build mutant_[a-z_]+$' internal | cut -d ' ' -f 2 | sort -u)
[[ $known == "$tags" ]] || { echo "$table and the tags in internal differ:"; diff <(echo "$known") <(echo "$tags"); exit 1; } >&2
rows=$(grep "^mutant_[a-z_]*$only" <<<"$rows") || { echo "there is no mutant $only" >&2; exit 2; }

# try TAG PACKAGE TEST: runs one test of the program as the tag has it. Exit code 3 says that it cannot be built.
try() {
  local program=$bin/$1-${2//\//-}.test
  [[ -x $program ]] || { go vet -tags "$1" "./$2" && go test -tags "$1" -c -o "$program" "./$2"; } >"$bin/out" 2>&1 || return 3
  (cd "$2" && "$program" -test.run "^${3//\//\$/^}\$" -test.count 1 -test.timeout 5m) >"$bin/out" 2>&1
}

while read -r _ package name; do
  try none "$package" "$name" || { cat "$bin/out"; echo "$package $name fails without a mutant"; exit 1; } >&2
  grep -q 'no tests to run' "$bin/out" && { echo "$package has no $name" >&2; exit 1; }
done < <(sort -u -k 2,3 <<<"$rows")
rm -f "$bin"/none-*

survivors=0
echo '| mutant | caught by | how |'
echo '| --- | --- | --- |'
while read -r tag package name; do
  code=0
  try "$tag" "$package" "$name" || code=$?
  if [[ $code == 3 ]]; then
    cat "$bin/out" >&2
    how='**does not build**'
  elif [[ $code == 0 ]]; then
    how='**survives**'
  elif ! grep -q "^--- FAIL: ${name%%/*} " "$bin/out" || grep -q '^panic: ' "$bin/out" ||
    ! how=$(grep -oE -m 1 '^ +[a-z_0-9]+_test\.go:[0-9]+: .*' "$bin/out" | sed 's/^ *//; s/|/\\|/g' | cut -c 1-120); then
    cat "$bin/out" >&2
    how='**ends without an assertion**'
  fi
  [[ $how != \** ]] || survivors=$((survivors + 1))
  echo "| $tag | $package $name | $how |"
done <<<"$rows"
[[ $survivors == 0 ]] || { echo "$survivors of these tests did not catch their mutant" >&2; exit 1; }
