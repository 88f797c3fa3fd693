#!/usr/bin/env bash
# Measures RaftKV beside a stock Redis that syncs each write, in turn, on the same disk.
#
#   scripts/bench.sh [--nodes 1,3,5] [--rounds 3] [--seconds 5] [--points c1,c50,c50P16,c256P32]
#                    [--tests set,get] [--read-mode read_index] [--dir FOLDER] [--json FILE]
#                    [--no-redis] [-- server flags]
#
#   --nodes LIST     cluster sizes
#   --rounds N       a round is Redis, then RaftKV, each with a fresh data folder; ratios are taken
#                    round by round
#   --seconds S      how long one measurement takes at least
#   --points LIST    clients and pipeline: c50P16 is 50 clients with 16 commands on the way each
#   --dir FOLDER     where the data goes: on a real disk, not on tmpfs; default: the build folder
#   --json FILE      the figures for programs, "-" for stdout instead of the table
#   --no-redis       RaftKV alone
#
# The load is redis-benchmark -d 64 -r 1000000. Writes a Markdown table to stdout. With the defaults it
# takes about 20 minutes; "--rounds 1 --seconds 1 --nodes 3" gives a first look in one.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

for argument in "$@"; do
  case "$argument" in
    --) break ;;
    -h | --help) usage; exit 0 ;;
  esac
done
ensure_binaries
[[ -n "${RAFTKV_BUILD_DIR:-}" || "${RAFTKV_SKIP_BUILD:-0}" == 1 ]] || "$ROOT/scripts/bootstrap.sh" run test
export RAFTKV_BUILD_DIR
RAFTKV_BUILD_DIR="$(build_dir)"
exec /usr/bin/python3 -B "$ROOT/scripts/bench.py" "$@"
