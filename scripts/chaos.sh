#!/usr/bin/env bash
# Runs a cluster of real processes under load while things go wrong, then judges what its clients saw.
#
#   scripts/chaos.sh [--minutes M] [--nodes 5] [--faults LIST] [--seed S] [--dir DIR] [--netns]
#                    [--keep] [-- server flags]
#
#   --minutes M     of load under faults; default 2
#   --faults LIST   of kill,pause,partition,slow,disk,members,clock,transfer,rolling; default all. disk
#                   needs root
#   --seed S        the same seed draws the same faults; default: drawn anew, and told
#   --dir DIR       where histories, logs and the report go; default: a new folder under the build folder
#   --netns         each node in a network namespace of its own, between which packets are lost, delayed,
#                   overtaken and repeated, instead of connections through a proxy; needs root
#   --keep          keep that folder after a PASS, too
#   -- ...          flags for every server, e.g. -- --read_mode=lease
#
# Ends with a line PASS or FAIL, and exit code 0 or 1. docs/testing.md tells how to read a failure.
# RAFTKV_BUILD_DIR=DIR takes the programs of another build, RAFTKV_SKIP_BUILD=1 build/ as it is.
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
if [[ -z "${RAFTKV_BUILD_DIR:-}" && "${RAFTKV_SKIP_BUILD:-0}" != 1 ]]; then
  "$ROOT/scripts/bootstrap.sh" run test
  "$ROOT/scripts/build.sh" release chaos_proxy chaos_router chaos_client chaos_clock
fi
export RAFTKV_BUILD_DIR
RAFTKV_BUILD_DIR="$(build_dir)"
exec /usr/bin/python3 -B "$ROOT/tests/chaos/chaos.py" "$@"
