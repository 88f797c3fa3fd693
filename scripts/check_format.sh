#!/usr/bin/env bash
# Checks that the C++ files look as .clang-format says.
#
#   scripts/check_format.sh [--fix]
#
#   --fix   rewrite the files instead
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mode=(--dry-run -Werror)
case "${1:-}" in
  "") ;;
  --fix) mode=(-i) ;;
  -h | --help) usage; exit 0 ;;
  *) die "unknown argument '$1'; --help tells more" ;;
esac
command -v clang-format >/dev/null || die "clang-format is missing: scripts/bootstrap.sh dev"

cd "$ROOT"
find raft resp storage server client tests -name '*.cc' -o -name '*.h' | sort |
  xargs -r clang-format "${mode[@]}"
