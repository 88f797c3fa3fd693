#!/usr/bin/env bash
# Shows a cluster at work: status, a write, a read, many writes, and the state that all nodes agree on.
#
#   scripts/demo.sh [--dir run] [--nodes 5] [--port 7001]
#
# Uses the cluster that runs in DIR; if none does, starts one there and stops it at the end.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

dir=run
nodes=5
port=7001
while (($#)); do
  case "$1" in
    -h | --help) usage; exit 0 ;;
    --dir | --nodes | --port)
      (($# >= 2)) || die "$1 needs a value"
      case "$1" in
        --dir) dir="$2" ;;
        --nodes) nodes="$2" ;;
        --port) port="$2" ;;
      esac
      shift 2
      ;;
    --dir=*) dir="${1#*=}"; shift ;;
    --nodes=*) nodes="${1#*=}"; shift ;;
    --port=*) port="${1#*=}"; shift ;;
    *) die "unknown argument '$1'; --help tells more" ;;
  esac
done
dir="$(absolute "$dir")"

if cluster_runs "$dir"; then
  ensure_binaries
else
  trap '"$ROOT/scripts/stop_cluster.sh" --dir "$dir"' EXIT
  "$ROOT/scripts/start_cluster.sh" --nodes "$nodes" --port "$port" --dir "$dir" >/dev/null
fi
cluster_nodes="$(<"$dir/addresses")"
cli="$(build_dir)/raftkv-cli"

# Prints a command as a reader would type it, then runs it.
show() {
  printf '\n$ raftkv-cli'
  printf ' %s' "$@"
  printf '\n'
  "$cli" "$1" --nodes "$cluster_nodes" "${@:2}"
}

say "A cluster of Redis servers that agree by Raft: $cluster_nodes"
show status
show put --key user:1 --value active
show get --key user:1
show incr --key visits
show bench --n 5000 --clients 50
# Followers hear what is committed with the next heartbeat.
one_state() {
  [[ "$("$cli" status --nodes "$cluster_nodes" --json | grep -o '"applied_index": *[0-9]*' | sort -u | wc -l)" == 1 ]]
}
deadline=$((SECONDS + 10))
until one_state || ((SECONDS >= deadline)); do sleep 0.05; done
say ""
say "The same state on every node:"
show status
