#!/usr/bin/env bash
# Installs what is missing, builds, and runs the tests.
#
#   scripts/test.sh [--fast] [--asan] [--tsan] [--ci] [--label REGEX] [--exclude REGEX]
#
#   (nothing)         release build: unit, contract and simulator tests, the tree's rules, and the
#                     integration tests with real processes and real clients
#   --fast            without the integration tests
#   --asan, --tsan    build with AddressSanitizer + UBSan, or ThreadSanitizer, and run all tests with it
#   --fuzz SECONDS    fuzz the parser and the codec too, each for so long (scripts/fuzz.sh)
#   --ci              what CI runs: everything in release, and a short fuzzing under the sanitizers
#                     (--asan and --tsan take longer than CI may, and are run by hand)
#   --label REGEX     only tests with such a label: unit contract sim structure integration fuzz
#   --exclude REGEX   without tests with such a label
#
# Ends with the line 'N passed, N failed'.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

presets=()
ci=0
fuzz_s=0
label=""
exclude=""
while (($#)); do
  case "$1" in
    -h | --help) usage; exit 0 ;;
    --fast) exclude="integration"; shift ;;
    --asan) presets+=(asan); shift ;;
    --tsan) presets+=(tsan); shift ;;
    --ci) ci=1; shift ;;
    --label | --exclude | --fuzz)
      (($# >= 2)) || die "$1 needs a value"
      case "$1" in
        --label) label="$2" ;;
        --exclude) exclude="$2" ;;
        --fuzz) need_number --fuzz "$2" 1 86400; fuzz_s="$2" ;;
      esac
      shift 2
      ;;
    --label=*) label="${1#*=}"; shift ;;
    --exclude=*) exclude="${1#*=}"; shift ;;
    *) die "unknown argument '$1'; --help tells more" ;;
  esac
done
((${#presets[@]})) || presets=(release)
if ((ci)); then
  presets=(release)
  fuzz_s=30
fi

passed=0
failed=0
# run_tests PRESET EXCLUDE: the tests of one build; adds to passed and failed.
run_tests() {
  local preset="$1" without="$2" log total bad
  # Those that measure time run alone all the same (RUN_SERIAL).
  local arguments=(--preset "$preset" --no-tests=error -j "$(nproc)")
  [[ -n "$label" ]] && arguments+=(-L "$label")
  [[ -n "$without" ]] && arguments+=(-LE "$without")
  say "== $preset: build"
  "$ROOT/scripts/build.sh" "$preset"
  say "== $preset: tests"
  log="$(mktemp)"
  (cd "$ROOT" && ctest "${arguments[@]}" 2>&1) | tee "$log" || true
  if ! read -r bad total < <(sed -nE \
    's/^[0-9]+% tests passed, ([0-9]+) tests? failed out of ([0-9]+).*/\1 \2/p' "$log"); then
    say "$preset: ctest ran no test"
    bad=1
    total=1
  fi
  rm -f "$log"
  passed=$((passed + total - bad))
  failed=$((failed + bad))
}

"$ROOT/scripts/bootstrap.sh" build run test
for preset in "${presets[@]}"; do
  run_tests "$preset" "$exclude"
done
if ((fuzz_s)); then
  say "== fuzz: $fuzz_s s a target"
  if "$ROOT/scripts/fuzz.sh" "$fuzz_s"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
fi
say "$passed passed, $failed failed"
((failed == 0))
