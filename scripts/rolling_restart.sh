#!/usr/bin/env bash
# Restarts the nodes of a cluster on this machine one after the other, followers first, so that it
# serves all the time: for a new binary, or for other flags.
#
#   scripts/rolling_restart.sh [--dir run] [--timeout 60] [-- server flags]
#
#   --dir DIR      the folder that scripts/start_cluster.sh was given
#   --timeout S    seconds a node gets to end, and again to come back and catch up
#   -- ...         flags for every server from now on, behind those it runs with (the last one counts)
#
# Each node is asked to end (SIGTERM: a leader hands over first), started again as it was, and waited
# for until it has applied what the leader had committed. Stops at the first node that does not come
# back; the others then run on as before. Run it again to go on.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

dir=run
timeout_s=60
more_flags=()
while (($#)); do
  case "$1" in
    -h | --help) usage; exit 0 ;;
    --dir | --timeout)
      (($# >= 2)) || die "$1 needs a value"
      case "$1" in
        --dir) dir="$2" ;;
        --timeout) timeout_s="$2" ;;
      esac
      shift 2
      ;;
    --dir=*) dir="${1#*=}"; shift ;;
    --timeout=*) timeout_s="${1#*=}"; shift ;;
    --) shift; more_flags=("$@"); break ;;
    *) die "unknown argument '$1' (server flags go behind --); --help tells more" ;;
  esac
done
need_number --timeout "$timeout_s" 1 3600
dir="$(absolute "$dir")"
[[ -d "$dir" ]] || die "no cluster was ever started in $dir"

# info_field PORT NAME: a field of INFO raft; empty if the node does not answer.
info_field() {
  local line
  {
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 0
    printf 'INFO raft\r\n' >&3 || return 0
    while IFS= read -r -t 2 line <&3; do
      line="${line%$'\r'}"
      if [[ "$line" == "$2:"* ]]; then
        printf '%s\n' "${line#*:}"
        break
      fi
      # The section's last line is empty.
      [[ -z "$line" ]] && break
    done
    exec 3<&- 3>&-
  } 2>/dev/null
  return 0
}

declare -A port_of=() # by folder
homes=()
while IFS= read -r home; do
  pid="$(server_of "$home")" || die "$(basename "$home") does not run: start it first (its log: $home/server.log)"
  listen="$(tr '\0' '\n' <"/proc/$pid/cmdline" | sed -n 's/^--listen=.*:\([0-9]*\)$/\1/p' | tail -n 1)"
  [[ -n "$listen" ]] || die "$(basename "$home") was not started by scripts/start_cluster.sh (no --listen=host:port)"
  port_of["$home"]="$listen"
  homes+=("$home")
done < <(node_dirs "$dir")
((${#homes[@]})) || die "no node is in $dir"

leader_port() {
  local home
  for home in "${homes[@]}"; do
    if [[ "$(info_field "${port_of[$home]}" raft_role)" == leader ]]; then
      printf '%s\n' "${port_of[$home]}"
      return 0
    fi
  done
  return 1
}

# wait_until SECONDS COMMAND...
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.1
  done
}
all_serve() {
  local home
  for home in "${homes[@]}"; do
    node_answers "${port_of[$home]}" && node_knows_leader "${port_of[$home]}" || return 1
  done
  leader_port >/dev/null
}
has_ended() { [[ "$(server_of "$1" || true)" != "$2" ]]; }
# The node has applied what its leader had committed when this was called first.
caught_up() {
  local leader applied
  if [[ -z "${goal:-}" ]]; then
    leader="$(leader_port)" || return 1
    goal="$(info_field "$leader" raft_commit_index)"
    [[ -n "$goal" ]] || return 1
  fi
  applied="$(info_field "$1" raft_applied_index)"
  [[ -n "$applied" ]] && ((applied >= goal)) && node_knows_leader "$1"
}

restart() {
  local home="$1" name pid port goal=""
  local -a command
  name="$(basename "$home")"
  port="${port_of[$home]}"
  wait_until "$timeout_s" all_serve ||
    die "not every node serves, so that $name must not be stopped: see raftkv-cli status"
  pid="$(server_of "$home")" || die "$name has ended meanwhile; its log: $home/server.log"
  mapfile -d '' -t command <"/proc/$pid/cmdline"
  # The same program by name, which may be a new file by now.
  command[0]="$(build_dir)/raftkv-server"
  [[ -x "${command[0]}" ]] || die "${command[0]} is missing: run scripts/build.sh, or set RAFTKV_BUILD_DIR"
  kill -TERM "$pid"
  wait_until "$timeout_s" has_ended "$home" "$pid" || die "$name (pid $pid) did not end within $timeout_s s"
  setsid nohup "${command[@]}" "${more_flags[@]}" </dev/null >>"$home/server.log" 2>&1 &
  printf '%s\n' "$!" >"$home/server.pid"
  if ! wait_until "$timeout_s" caught_up "$port"; then
    tail -n 5 "$home/server.log" >&2
    die "$name did not come back and catch up within $timeout_s s; its log: $home/server.log"
  fi
  say "$name is back (port $port, index $goal)"
}

wait_until "$timeout_s" all_serve || die "not every node serves: see raftkv-cli status"
first_leader="$(leader_port)"
last=""
for home in "${homes[@]}"; do
  if [[ "${port_of[$home]}" == "$first_leader" ]]; then
    last="$home"
  else
    restart "$home"
  fi
done
[[ -z "$last" ]] || restart "$last"
say "All ${#homes[@]} nodes were restarted."
