#!/usr/bin/env bash
# Installs PostgreSQL, Redis and a C compiler (for the race detector) if they are missing:
#   root, or sudo without a password      with apt-get
#   an ordinary user on Debian or Ubuntu  the same packages, unpacked into .deps
#   macOS                                 with Homebrew
# Elsewhere it says what to install. It prints nothing if nothing is missing.
#   deps.sh race       prints -race if there is a C compiler, else a warning
#   deps.sh promtool   also installs promtool, which the tests of the chart's alerts need, and (as root or with sudo) Node, which
#                      those of the JavaScript client need: Debian's Node does not run from another directory
#   deps.sh chromium   also installs Chromium (350 MB) as root or with sudo, which the tests of the console need
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:-}
deps=$PWD/.deps
PATH=$deps/bin:$PATH

say() { echo "deps: $*" >&2; }
die() { say "$@"; exit 1; }

# recent MIN PROGRAM... succeeds if one of the programs runs and has major version MIN or later.
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

# Looks for initdb, which only the server package contains.
has_postgres() {
  recent 14 initdb {/usr,"$deps/usr"}/lib/postgresql/*/bin/initdb {/opt/homebrew,/usr/local}/opt/postgresql@*/bin/initdb
}
has_redis() { recent 7 redis-server "$deps/usr/bin/redis-server"; }

# On Ubuntu the package chromium is a snap, whose program does not run without snapd.
has_chromium() {
  local program
  for program in "${ROOMSPA_CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
    [[ -z $program ]] || ! "$program" --version &>/dev/null || return 0
  done
  return 1
}

has_promtool() { recent 2 promtool "$deps/usr/bin/promtool"; }
has_node() { recent 18 node && node --eval 0 &>/dev/null; }

# Compiles an include, since a compiler without the C library's headers is not enough. Only
# Linux needs a compiler.
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
  [[ $mode != promtool ]] || has_node || ! can_be_root || echo nodejs
  [[ $mode != chromium ]] || has_chromium || ! can_be_root || ! command -v apt-get >/dev/null || echo chromium
}

can_be_root() { [[ $EUID == 0 ]] || sudo -n true 2>/dev/null; }

as_root() { if [[ $EUID == 0 ]]; then "$@"; else sudo -n "$@"; fi; }

# quiet COMMAND... prints the end of the output only if the command fails.
quiet() {
  local out
  out=$("$@" 2>&1) || { tail -n 5 <<<"$out" >&2; return 1; }
}

say_skipped() {
  if [[ $mode == promtool ]] && ! has_promtool; then say "no promtool found: tests of the chart's alerts are skipped; install Prometheus to run them"; fi
  if [[ $mode == promtool ]] && ! has_node; then say "no Node 18 or later found: tests of the JavaScript client are skipped; install nodejs to run them"; fi
  if [[ $mode == chromium ]] && ! has_chromium; then say "no Chromium found: the tests of the console in a browser are skipped; install Chromium to run them"; fi
}

install_packages() {
  local policy=/usr/sbin/policy-rc.d
  say "installing $* with apt-get"
  if [[ ! -e $policy ]]; then # do not start the packaged servers: tests start their own
    trap 'as_root rm -f '$policy EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
    as_root chmod 755 $policy
  fi
  quiet as_root apt-get -q update || true # an unrelated broken source is not fatal
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
  # Without dependencies of maintainer scripts, LLVM (120 MB, for the JIT) and the C library, which must be the system's.
  list=$(grep -vE '^(libc6|libc-bin|libc-l10n|locales|tzdata|debconf|perl.*|libperl.*|lib.*-perl|ssl-cert|ucf|postgresql-common.*|postgresql-client-common|libllvm.*|libz3-.*)$' <<<"$list")
  # shellcheck disable=SC2086 # one word per package
  (cd "$new/debs" && quiet "${apt[@]}" download $list) || return
  for part in "$new"/debs/*.deb; do dpkg -x "$part" "$new" || return; done
  rm -f "$new"/usr/lib/postgresql/*/lib/llvmjit.so # needs LLVM; Postgres disables the JIT if the file is missing

  if [[ -e $new/usr/bin/gcc ]]; then
    # The tree is the compiler's sysroot: link the system's C library into it.
    for lib in {,/usr}/lib*/{,*-linux-gnu*/}{ld-linux*,libc,libm,libmvec,libpthread,libdl,librt,libresolv,libgcc_s}.so.*; do
      [[ ! -e $lib || -e $new$lib ]] || { mkdir -p "$new${lib%/*}" && ln -s "$lib" "$new$lib"; }
    done
    machine=$(basename "$new"/usr/lib/gcc/*-linux-gnu*)
    mkdir -p "$new/bin"
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

command -v go >/dev/null || die "Go is missing: install Go $(sed -n 's/^go //p' go.mod) or later"

if [[ $mode == race ]]; then
  if has_cc; then echo -race; else say "no C compiler found: tests run without the race detector; install gcc and libc6-dev to enable it"; fi
  exit
fi

# Only one installation at a time. The lock is outside the clone, since all clones share the package database.
lock=/etc/apt
[[ -d $lock ]] || lock=$PWD
if command -v flock >/dev/null; then exec 9<"$lock" && flock 9; fi

wanted=$(missing)
[[ -n $wanted ]] || { say_skipped; exit 0; }
[[ $mode != chromium ]] || say "Chromium takes 80 MB to download and 300 MB on disk"
# shellcheck disable=SC2046,SC2086 # one word per package
if [[ $(uname) == Darwin ]] && command -v brew >/dev/null; then
  say "installing postgresql@17 and redis with Homebrew"
  brew install -q postgresql@17 redis >&2 || true
  [[ $mode != promtool ]] || brew install -q prometheus node >&2 || true
elif command -v apt-get >/dev/null && can_be_root; then
  install_packages $wanted || true
elif command -v apt-get >/dev/null; then
  unpack_packages $(deps=/nowhere PATH=${PATH#*:} missing) || true # everything that the system lacks, since .deps is rebuilt as a whole
fi
say_skipped
if ! has_postgres || ! has_redis; then die "PostgreSQL or Redis is missing: install PostgreSQL 14 or later and Redis 7 or later"; fi
