#!/usr/bin/env bash
# Runs clang-tidy with the project's .clang-tidy.
#
#   scripts/tidy.sh [--build DIR] [file.cc ...]
#
#   --build DIR   a configured build folder (its compile_commands.json is read); default: build
#   files         default: all sources of the servers and the client, without the tests
#
# Takes minutes for all files; two at a time.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

build="$(build_dir)"
files=()
while (($#)); do
  case "$1" in
    -h | --help) usage; exit 0 ;;
    --build)
      (($# >= 2)) || die "$1 needs a value"
      build="$(absolute "$2")"
      shift 2
      ;;
    -*) die "unknown argument '$1'; --help tells more" ;;
    *) files+=("$1"); shift ;;
  esac
done
# Version 14, Debian's default, can't read std::expected of libstdc++ 12.
command -v clang-tidy-19 >/dev/null || die "clang-tidy-19 is missing: scripts/bootstrap.sh dev"
[[ -r "$build/compile_commands.json" ]] || die "$build is not configured: scripts/build.sh"

cd "$ROOT"
if ((${#files[@]} == 0)); then
  mapfile -t files < <(find raft resp storage server client -name '*.cc' | sort)
fi
# Precompiled headers and GCC's own warning flags mean nothing to clang.
printf '%s\0' "${files[@]}" |
  xargs -0 -n 1 -P 2 clang-tidy-19 -p "$build" --quiet --extra-arg=-Wno-unknown-warning-option \
    --extra-arg=-Wno-unused-command-line-argument --extra-arg=-Wno-deprecated-declarations
