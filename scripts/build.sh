#!/usr/bin/env bash
# Configures and builds.
#
#   scripts/build.sh [preset] [target ...]
#
# Presets: release (into build/, the default), debug, asan, tsan (into build-PRESET/).
# The packages must be there: scripts/bootstrap.sh.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case "${1:-}" in
  -h | --help) usage; exit 0 ;;
esac
preset="${1:-release}"
(($#)) && shift
[[ "$preset" =~ ^(release|debug|asan|tsan)$ ]] || die "no preset '$preset': release, debug, asan or tsan"

cd "$ROOT"
dir="build-$preset"
[[ "$preset" == release ]] && dir=build
log="$dir/configure.log"
mkdir -p "$dir"
if ! cmake --preset "$preset" >"$log" 2>&1; then
  cat "$log" >&2
  die "cmake could not configure $dir (delete the folder if it was made by another generator)"
fi
targets=()
(($#)) && targets=(--target "$@")
cmake --build --preset "$preset" -j "$(build_jobs)" "${targets[@]}"
