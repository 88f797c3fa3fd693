#!/usr/bin/env bash
# Fuzzes what reads bytes from strangers: the Redis protocol and the peer protocol.
#
#   scripts/fuzz.sh [seconds] [target ...]
#
# Builds tests/fuzz with clang and libFuzzer into build-fuzz/, and runs each target (all, if none is
# named) for that many seconds (60). Inputs that reach new code are kept in build-fuzz/corpus/TARGET
# and are the start of the next run; an input that breaks something is left in build-fuzz/, with the
# command that replays it. Installs clang 19 (Debian's) when no clang from 19 on is there.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case "${1:-}" in
  -h | --help) usage; exit 0 ;;
esac
seconds="${1:-60}"
need_number "seconds" "$seconds" 1 86400
(($#)) && shift
targets=("$@")
((${#targets[@]})) || targets=(fuzz_resp fuzz_codec fuzz_rdb)
for target in "${targets[@]}"; do
  [[ "$target" == fuzz_* && -f "$ROOT/tests/fuzz/$target.cc" ]] || die "no fuzz target '$target'"
done

# The first clang++ from 19 on, with its libFuzzer.
find_clang() {
  local name version
  for name in clang++ clang++-{19,20,21,22}; do
    version="$("$name" -dumpversion 2>/dev/null)" || continue
    ((${version%%.*} >= 19)) || continue
    if compgen -G "$(dirname "$("$name" -print-libgcc-file-name --rtlib=compiler-rt)")/*fuzzer*.a" \
      >/dev/null; then
      printf '%s\n' "$name"
      return 0
    fi
  done
  return 1
}

if ! clang="$(find_clang)"; then
  say "installing clang 19"
  as_root=()
  ((EUID == 0)) || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends clang-19 libclang-rt-19-dev
  clang="$(find_clang)" || die "clang 19 and its libFuzzer (libclang-rt-19-dev) could not be installed"
fi

dir="$ROOT/build-fuzz"
mkdir -p "$dir"
if ! cmake -S "$ROOT" -B "$dir" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
  -DCMAKE_CXX_COMPILER="$clang" -DRAFTKV_FUZZ=ON >"$dir/configure.log" 2>&1; then
  cat "$dir/configure.log" >&2
  die "cmake could not configure $dir"
fi
cmake --build "$dir" -j "$(build_jobs)" --target "${targets[@]}"

for target in "${targets[@]}"; do
  corpus="$dir/corpus/$target"
  mkdir -p "$corpus"
  program="$dir/tests/fuzz/$target"
  "$program" --write_seeds="$corpus"
  log="$dir/$target.log"
  if ! "$program" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="$dir/$target-" "$corpus" >"$log" 2>&1; then
    tail -40 "$log" >&2
    found="$(sed -nE 's/.*Test unit written to (.*)/\1/p' "$log" | head -1)"
    die "$target found a fault; replay it with: $program ${found:-(no input was written, see $log)}"
  fi
  say "$target: $(sed -nE 's/^Done ([0-9]+ runs in [0-9]+ second.*)/\1/p' "$log"), nothing found"
done
