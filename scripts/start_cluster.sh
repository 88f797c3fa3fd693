#!/usr/bin/env bash
# Starts a cluster on this machine and waits until it has a leader.
#
#   scripts/start_cluster.sh [--nodes 5] [--port 7001] [--dir run] [-- server flags]
#
#   --nodes N   how many nodes, 1 to 9
#   --port P    client port of the first node; node i listens on P+i-1 for clients and, 10000 above
#               that, for its peers
#   --dir DIR   where data, logs and pid files live: DIR/n1 ... DIR/nN. What a stopped cluster left
#               there is taken up again
#   -- ...      flags for every server, e.g. -- --read_mode=lease (docs/operations.md lists them)
#
# Installs missing Debian packages and builds into build/ first. RAFTKV_SKIP_BUILD=1 takes build/ as it
# is, RAFTKV_BUILD_DIR=DIR takes the binaries of another build. RAFTKV_START_TIMEOUT: seconds to wait for
# a leader, 30 by default. scripts/stop_cluster.sh ends the cluster.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

nodes=5
port=7001
dir=run
server_flags=()
while (($#)); do
  case "$1" in
    -h | --help) usage; exit 0 ;;
    --nodes | --port | --dir)
      (($# >= 2)) || die "$1 needs a value"
      case "$1" in
        --nodes) nodes="$2" ;;
        --port) port="$2" ;;
        --dir) dir="$2" ;;
      esac
      shift 2
      ;;
    --nodes=*) nodes="${1#*=}"; shift ;;
    --port=*) port="${1#*=}"; shift ;;
    --dir=*) dir="${1#*=}"; shift ;;
    --) shift; server_flags=("$@"); break ;;
    *) die "unknown argument '$1' (server flags go behind --); --help tells more" ;;
  esac
done
need_number --nodes "$nodes" 1 9
need_number --port "$port" 1024 55000
timeout_s="${RAFTKV_START_TIMEOUT:-30}"
need_number RAFTKV_START_TIMEOUT "$timeout_s" 1 3600
dir="$(absolute "$dir")"

addresses=""
cluster=""
for ((i = 1; i <= nodes; i++)); do
  client="127.0.0.1:$((port + i - 1))"
  peer="127.0.0.1:$((port + i - 1 + 10000))"
  addresses+="${addresses:+,}$client"
  cluster+="${cluster:+,}$i@$client@$peer"
done

# Refuse first what can't work, before anything is built or written.
cluster_runs "$dir" && die "a cluster already runs in $dir: scripts/stop_cluster.sh --dir $dir ends it"
if [[ -r "$dir/cluster" && "$(<"$dir/cluster")" != "$cluster" ]] && compgen -G "$dir/n*/data" >/dev/null; then
  die "$dir holds the data of another cluster ($(<"$dir/cluster")): give --dir, the same --nodes and --port as then, or remove that folder"
fi
for ((i = 1; i <= nodes; i++)); do
  for taken in $((port + i - 1)) $((port + i - 1 + 10000)); do
    port_taken "$taken" && die "port $taken, which node $i needs, is occupied: give another --port"
  done
done

ensure_binaries
server="$(build_dir)/raftkv-server"
mkdir -p "$dir"
printf '%s\n' "$cluster" >"$dir/cluster"
printf '%s\n' "$addresses" >"$dir/addresses"

node_pids=()
abandon() {
  local i pid
  for ((i = 1; i <= ${#node_pids[@]}; i++)); do
    pid="$(server_of "$dir/n$i")" && kill -KILL "$pid" 2>/dev/null
    rm -f "$dir/n$i/server.pid"
  done
  die "$@"
}
report_dead() {
  local i
  for ((i = 1; i <= nodes; i++)); do
    kill -0 "${node_pids[i - 1]}" 2>/dev/null && continue
    printf '%s: node %s ended at start; its last lines (%s):\n' "$(basename "$0")" "$i" "$dir/n$i/server.log" >&2
    tail -n 12 "$dir/n$i/server.log" | sed 's/^/    /' >&2
    return 0
  done
  return 1
}

say "Starting $nodes node(s) in $dir"
for ((i = 1; i <= nodes; i++)); do
  home="$dir/n$i"
  mkdir -p "$home"
  # A session of its own, so that neither the end of this script nor Ctrl-C in its terminal reaches it.
  setsid nohup "$server" --node_id="$i" --listen="127.0.0.1:$((port + i - 1))" \
    --peer_listen="127.0.0.1:$((port + i - 1 + 10000))" --cluster="$cluster" \
    --data_dir="$home/data" "${server_flags[@]}" </dev/null >>"$home/server.log" 2>&1 &
  node_pids+=($!)
  printf '%s\n' "$!" >"$home/server.pid"
done

deadline=$((SECONDS + timeout_s))
for ((i = 1; i <= nodes; i++)); do
  until node_answers $((port + i - 1)) && node_knows_leader $((port + i - 1)); do
    report_dead && abandon "the cluster did not start"
    ((SECONDS < deadline)) ||
      abandon "node $i knows no leader after $timeout_s s; the logs are in $dir/n*/server.log"
    sleep 0.05
  done
done
report_dead && abandon "the cluster did not start"

"$(build_dir)/raftkv-cli" status --nodes "$addresses"
say ""
stop="scripts/stop_cluster.sh"
[[ "$dir" == "$PWD/run" ]] || stop+=" --dir $dir"
say "redis-cli -c -p $port talks to it; $stop ends it."
