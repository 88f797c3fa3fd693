#!/usr/bin/env bash
# Tests the simulator: does it notice mistakes in the code that it runs?
#
#   scripts/mutants.sh [NAME ...]            these mutants, or all of tests/mutants/*.patch
#     --seeds N      simulated clusters for each (300)
#     --start S      the first seed (1)
#     --enough K     leave a mutant once K seeds have failed (0: run all)
#     --jobs J       compilers and simulations at once (all cores)
#     --dir DIR      where the copy of the tree is built (build-mutants/)
#     --report FILE  write the table there too, as Markdown
#     --list         only name the mutants, and say what is wrong with each
#     --check        only see whether each one still applies to the tree
#
# The tree is copied and built. As it is, it must pass all seeds. Then each mutant is patched in,
# built, run on the same seeds and taken out again. A mutant is caught if a seed fails: a check of
# the simulator or of the code itself, a contradiction in what clients saw, or no progress in time.
#
# Exit code 0: all were caught; 1: at least one survived, does not apply or does not build.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mutants_dir="$ROOT/tests/mutants"
dir="$ROOT/build-mutants"
seeds=300
start=1
enough=0
jobs="$(nproc)"
report=""
list=0
check=0
names=()
while (($#)); do
  case "$1" in
    -h | --help) usage; exit 0 ;;
    --list) list=1; shift ;;
    --check) check=1; shift ;;
    --seeds | --start | --enough | --jobs | --dir | --report)
      (($# >= 2)) || die "$1 needs a value"
      case "$1" in
        --seeds) need_number --seeds "$2" 1 999999; seeds="$2" ;;
        --start) need_number --start "$2" 1 999999; start="$2" ;;
        --enough) [[ "$2" == 0 ]] || need_number --enough "$2" 1 999999; enough="$2" ;;
        --jobs) need_number --jobs "$2" 1 1024; jobs="$2" ;;
        --dir) dir="$(absolute "$2")" ;;
        --report) report="$(absolute "$2")" ;;
      esac
      shift 2
      ;;
    -*) die "unknown argument '$1'; --help tells more" ;;
    *)
      name="$(basename "$1" .patch)"
      [[ -f "$mutants_dir/$name.patch" ]] || die "there is no mutant '$name'; --list names them"
      names+=("$name")
      shift
      ;;
  esac
done
if ((!${#names[@]})); then
  for patch in "$mutants_dir"/*.patch; do names+=("$(basename "$patch" .patch)"); done
fi

# head_of NAME: what is wrong, and the rule it breaks, each as one line.
head_of() { awk '/^(diff|---) / { exit } { print }' "$mutants_dir/$1.patch"; }
wrong_of() { head_of "$1" | awk '/^Breaks: / { exit } NF { printf "%s%s", s, $0; s = " " }'; }
rule_of() { head_of "$1" | awk '/^Breaks: / { on = 1; sub(/^Breaks: /, "") } on && NF { printf "%s%s", s, $0; s = " " }'; }

for name in "${names[@]}"; do
  [[ -n "$(wrong_of "$name")" && -n "$(rule_of "$name")" ]] ||
    die "$name.patch must begin with what is wrong and with 'Breaks: ' and the rule"
done
if ((list)); then
  for name in "${names[@]}"; do say "$name: $(wrong_of "$name")"; done
  exit 0
fi
if ((check)); then
  stale=0
  for name in "${names[@]}"; do
    patch -p1 -s --dry-run -d "$ROOT" <"$mutants_dir/$name.patch" || { say "$name does not apply"; stale=1; }
  done
  exit "$stale"
fi

tree="$dir/tree"
# Where a build of the tree itself would be: so that the compiler's cache knows what that compiled.
build="$tree/build"
# Whatever was patched the last time is replaced; files keep their times, so that only what changed
# is compiled, but for those that mutants change: objects of theirs may be of a mutant, and newer.
copy_tree() {
  mkdir -p "$tree"
  find "$tree" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
  (cd "$ROOT" && git ls-files -z --cached --others --exclude-standard |
    while IFS= read -r -d '' file; do [[ -f "$file" ]] && printf '%s\0' "$file"; done |
    tar --null -T - -cf -) | tar -xf - -C "$tree"
  sed -nE 's/^\+\+\+ b\/([^[:space:]]+).*/\1/p' "$mutants_dir"/*.patch | sort -u |
    (cd "$tree" && xargs touch -c)
}
configure() {
  if ! cmake -S "$tree" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release >"$dir/configure.log" 2>&1; then
    cat "$dir/configure.log" >&2
    die "cmake could not configure $build"
  fi
}
# build_sim LOG
build_sim() { nice -n 10 cmake --build "$build" -j "$jobs" --target raftkv-sim >"$1" 2>&1; }
# run_seeds LOG SEEDS ENOUGH
run_seeds() {
  nice -n 10 "$build/raftkv-sim" --seeds "$2" --start "$start" --jobs "$jobs" --enough "$3" >"$1" 2>&1
}
patch_tree() { (cd "$tree" && patch -p1 -s --no-backup-if-mismatch "$@"); }
cell() { printf '%s' "${1//|/\\|}"; }

mkdir -p "$dir"
exec 9>"$dir/lock"
flock -n 9 || die "another run uses $dir; choose another with --dir"
copy_tree
configure
say "building the tree as it is"
build_sim "$dir/build.log" || { cat "$dir/build.log" >&2; die "the tree does not build"; }
say "running $seeds seeds on it"
if ! run_seeds "$dir/control.log" "$seeds" 1; then
  cat "$dir/control.log" >&2
  die "the tree as it is fails: nothing can be told of mutants"
fi

rows=()
survivors=0
broken=0
caught=0
printf '%-32s %-14s %s\n' mutant caught 'as'
for name in "${names[@]}"; do
  patch="$mutants_dir/$name.patch"
  log="$dir/$name.log"
  verdict=""
  as=""
  if ! patch_tree --dry-run <"$patch" >"$log" 2>&1; then
    verdict="does not apply"
    broken=$((broken + 1))
  else
    patch_tree <"$patch"
    if ! build_sim "$log"; then
      verdict="does not build"
      as="$(grep -m1 -E 'error:' "$log" || true)"
      broken=$((broken + 1))
    elif run_seeds "$log" "$seeds" "$enough"; then
      verdict="SURVIVED"
      survivors=$((survivors + 1))
    else
      verdict="$(sed -nE 's/^([0-9]+) seeds, ([0-9]+) failed.*/\2 of \1/p' "$log")"
      first="$(sed -nE 's/^ +raftkv-sim --seed ([0-9]+) .*/\1/p' "$log" | head -1)"
      [[ -n "$verdict" && -n "$first" ]] || die "raftkv-sim failed without a seed, see $log"
      # A check that ends the process speaks on stderr, all others say it with the seed's number.
      as="$("$build/raftkv-sim" --seed "$first" 2>&1 | grep -vE '^ |seeds, ' | head -1 || true)"
      as="${as#*": at "}"
      caught=$((caught + 1))
    fi
    patch_tree -R <"$patch"
  fi
  printf '%-32s %-14s %s\n' "$name" "$verdict" "${as:0:120}"
  rows+=("| \`$name\` | $(cell "$(wrong_of "$name")") | $(cell "$(rule_of "$name")") | $verdict |")
done

if [[ -n "$report" ]]; then
  {
    printf '| mutant | what is wrong | rule | caught in seeds |\n| --- | --- | --- | --- |\n'
    printf '%s\n' "${rows[@]}"
  } >"$report"
fi
say "${#names[@]} mutants: $caught caught, $survivors survived, $broken broken"
((survivors + broken == 0))
