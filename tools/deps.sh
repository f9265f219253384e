#!/usr/bin/env bash
# Sees to it that PostgreSQL, Redis and a C compiler (the race detector wants one) are here, and installs what is missing:
#   root, or sudo that asks no password   apt-get install
#   an ordinary user on Debian or Ubuntu  the same packages, unpacked into .deps
#   macOS                                 Homebrew
# Anyone else is told what to install. Silent when there is nothing to do.
#   deps.sh race       prints -race where the race detector can work, and says what it lacks where it cannot
#   deps.sh promtool   installs Prometheus' tool too, which tries the chart's alerts; without it they are not tried
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:-}
deps=$PWD/.deps
PATH=$deps/bin:$PATH

say() { echo "deps: $*" >&2; }
die() { say "$@"; exit 1; }

# recent MIN PROGRAM...: does one of them start, and is it of major version MIN or later?
recent() {
  local min=$1 program libs version
  shift
  for program; do
    libs=${LD_LIBRARY_PATH:-}
    case $program in "$deps"/*) libs=$(printf '%s:' "$deps"/usr/lib/*-linux-gnu* "$deps"/lib/*-linux-gnu*)$libs ;; esac
    version=$(LD_LIBRARY_PATH=$libs "$program" --version 2>/dev/null | sed -nE '1s/^[^0-9]*([0-9]+).*/\1/p') || continue
    [[ -z $version || $version -lt $min ]] || return 0
  done
  return 1
}

# initdb, as it comes with the server only.
has_postgres() {
  recent 14 initdb {/usr,"$deps/usr"}/lib/postgresql/*/bin/initdb {/opt/homebrew,/usr/local}/opt/postgresql@*/bin/initdb
}
has_redis() { recent 7 redis-server "$deps/usr/bin/redis-server"; }

has_promtool() { recent 2 promtool "$deps/usr/bin/promtool"; }

# A compiler without the C library's headers is as good as none. Only Linux needs one.
has_cc() {
  [[ $(uname) == Linux ]] || return 0
  # shellcheck disable=SC2046 # CC may hold flags
  echo '#include <stdlib.h>' | $(go env CC) -x c -E - >/dev/null 2>&1
}

missing() {
  has_postgres || echo postgresql
  has_redis || echo redis-server
  has_cc || echo gcc libc6-dev
  [[ $mode != promtool ]] || has_promtool || echo prometheus
}

as_root() { if [[ $EUID == 0 ]]; then "$@"; else sudo -n "$@"; fi; }

# quiet COMMAND...: its output matters only when it fails.
quiet() {
  local out
  out=$("$@" 2>&1) || { tail -n 5 <<<"$out" >&2; return 1; }
}

install_packages() {
  local policy=/usr/sbin/policy-rc.d
  say "installing $* with apt-get"
  if [[ ! -e $policy ]]; then # the packages would start a server each: ours are private ones, on ports of their own
    trap 'as_root rm -f '$policy EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
    as_root chmod 755 $policy
  fi
  quiet as_root apt-get -q update || true # a broken foreign source need not matter
  quiet as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$@"
}

unpack_packages() {
  local new=$deps/new list apt lib part machine
  say "unpacking $* into .deps (no root, no sudo)"
  rm -rf "$new"
  mkdir -p "$new"/apt/{lists,archives}/partial "$new/debs"
  apt=(apt-get -q -o Dir::State="$new/apt" -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$new/apt")
  quiet "${apt[@]}" update || true
  list=$("${apt[@]}" -s install --no-install-recommends "$@" | awk '$1 == "Inst" { print $2 }')
  # Left out: what only maintainer scripts want, LLVM (120 MB for a JIT), and the C library: it must be the machine's own.
  list=$(grep -vE '^(libc6|libc-bin|libc-l10n|locales|tzdata|debconf|perl.*|libperl.*|lib.*-perl|ssl-cert|ucf|postgresql-common.*|postgresql-client-common|libllvm.*|libz3-.*)$' <<<"$list")
  # shellcheck disable=SC2086 # one word per package
  (cd "$new/debs" && quiet "${apt[@]}" download $list) || return
  for part in "$new"/debs/*.deb; do dpkg -x "$part" "$new" || return; done
  rm -f "$new"/usr/lib/postgresql/*/lib/llvmjit.so # without LLVM; Postgres does without when the file is not there

  if [[ -e $new/usr/bin/gcc ]]; then
    # The tree is the compiler's sysroot: lend it the machine's C library.
    for lib in {,/usr}/lib*/{,*-linux-gnu*/}{ld-linux*,libc,libm,libmvec,libpthread,libdl,librt,libresolv,libgcc_s}.so.*; do
      [[ ! -e $lib || -e $new$lib ]] || { mkdir -p "$new${lib%/*}" && ln -s "$lib" "$new$lib"; }
    done
    machine=$(basename "$new"/usr/lib/gcc/*-linux-gnu*)
    mkdir "$new/bin"
    cat >"$new/bin/gcc" <<EOF
#!/bin/sh
d=\$(cd "\${0%/*}/.." && pwd)
export PATH="\$d/usr/bin:\$PATH" LD_LIBRARY_PATH="\$d/usr/lib/$machine:\$d/lib/$machine"
exec "\$d/usr/bin/gcc" --sysroot="\$d" "\$@"
EOF
    chmod +x "$new/bin/gcc"
  fi

  for part in usr lib lib64 bin; do
    rm -rf "${deps:?}/$part"
    [[ ! -e $new/$part ]] || mv "$new/$part" "$deps/"
  done
  rm -rf "$new"
}

command -v go >/dev/null || die "install Go $(sed -n 's/^go //p' go.mod) or later, then try again"

if [[ $mode == race ]]; then
  if has_cc; then echo -race; else say "no C compiler: the tests run without the race detector; install gcc and libc6-dev to have it"; fi
  exit
fi

# One at a time: the second finds the work done. All clones of a machine share its package database, so they share the lock.
lock=/etc/apt
[[ -d $lock ]] || lock=$PWD
if command -v flock >/dev/null; then exec 9<"$lock" && flock 9; fi

wanted=$(missing)
[[ -n $wanted ]] || exit 0
# shellcheck disable=SC2046,SC2086 # one word per package
if [[ $(uname) == Darwin ]] && command -v brew >/dev/null; then
  say "installing postgresql@17 and redis with Homebrew"
  brew install -q postgresql@17 redis >&2 || true
  [[ $mode != promtool ]] || brew install -q prometheus >&2 || true
elif command -v apt-get >/dev/null && { [[ $EUID == 0 ]] || sudo -n true 2>/dev/null; }; then
  install_packages $wanted || true
elif command -v apt-get >/dev/null; then
  unpack_packages $(deps=/nowhere PATH=${PATH#*:} missing) || true # all that the system lacks: the tree is made in one go
fi
if [[ $mode == promtool ]] && ! has_promtool; then say "no promtool: the chart's alerts are not tried; install Prometheus to have them tried"; fi
if ! has_postgres || ! has_redis; then die "install PostgreSQL 14 or later and Redis 7 or later, then try again"; fi
