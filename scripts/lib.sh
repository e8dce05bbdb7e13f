# shellcheck shell=bash
# Shared by the scripts beside it: where things are, and how they speak.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

# Tools of this checkout come before the machine's: their versions are pinned here.
# gateway-worker's packages bring their own Node, so that the machine's may be older.
export PATH="$root/.tools/bin:$root/gateway-worker/node_modules/.bin:$HOME/.cargo/bin:$PATH"

say() { printf '\033[1m==> %s\033[0m\n' "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# npm_ci DIR: installs the packages that DIR's lock file names, unless that was done already.
npm_ci() {
  local dir=$1 stamp=$1/node_modules/.reelmill-lock
  [[ -f $dir/package-lock.json ]] || return 0
  cmp -s "$dir/package-lock.json" "$stamp" && return 0
  have npm || die "Node.js with npm is needed (https://nodejs.org, version 20 or newer)"
  say "installing the npm packages of $dir"
  (cd "$dir" && npm ci --no-audit --no-fund --loglevel=error)
  cp "$dir/package-lock.json" "$stamp"
}

# digest PATH…: one hash over the names and contents of all files below the paths.
digest() {
  find "$@" -type d \( -name node_modules -o -name dist -o -name build -o -name .wrangler \) -prune \
    -o -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

# locked_version CRATE: its version in Cargo.lock.
locked_version() {
  awk -v crate="\"$1\"" '$1 == "name" && $3 == crate { found = 1 } found && $1 == "version" { gsub(/"/, "", $3); print $3; exit }' Cargo.lock
}
