#!/usr/bin/env bash
# Shows a cluster at work: status, a write, a read, many writes, and the state that all nodes agree on.
#
#   scripts/demo.sh [--dir run] [--nodes 5] [--port 7001] [-- server flags]
#
#   -- ...      flags for every server, e.g. -- --snapshot_entries=30: each node then takes a snapshot
#               of exactly its 30th log entry, as the last lines show
#
# Uses the cluster that runs in DIR; if none does, starts one there and stops it at the end.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

dir=run
nodes=5
port=7001
server_flags=()
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
    --) shift; server_flags=("$@"); break ;;
    *) die "unknown argument '$1' (server flags go behind --); --help tells more" ;;
  esac
done
dir="$(absolute "$dir")"

if cluster_runs "$dir"; then
  ((${#server_flags[@]} == 0)) ||
    die "a cluster runs in $dir already, with flags of its own: scripts/stop_cluster.sh --dir $dir ends it"
  ensure_binaries
else
  trap '"$ROOT/scripts/stop_cluster.sh" --dir "$dir"' EXIT
  "$ROOT/scripts/start_cluster.sh" --nodes "$nodes" --port "$port" --dir "$dir" \
    -- "${server_flags[@]}" >/dev/null
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
# One client, so that each write is a log entry of its own. With what was written before they stay
# below 60: at --snapshot_entries=30 there is one snapshot, and it is the same in every run.
show bench --n 50 --clients 1
# Followers hear what is committed with the next heartbeat, and take snapshots of their own.
one_state() {
  local status
  status="$("$cli" status --long --nodes "$cluster_nodes")" || return 1
  [[ "$(grep -E '^  (applied|snapshot)_index: ' <<<"$status" | sort -u | wc -l)" == 2 ]] &&
    ! grep -q '^  raft_snapshot_in_progress: 1' <<<"$status"
}
deadline=$((SECONDS + 10))
until one_state || ((SECONDS >= deadline)); do sleep 0.05; done
say ""
say "The same state on every node:"
show status
fields='\b(node|role|applied_index|snapshot_index|keys): .*'
printf "\n\$ raftkv-cli status --long | grep -oE '%s'\n" "$fields"
"$cli" status --long --nodes "$cluster_nodes" | grep -oE "$fields"
