#!/usr/bin/env bash
# Ends the cluster that scripts/start_cluster.sh started. Its data stays.
#
#   scripts/stop_cluster.sh [--dir run] [--timeout 20]
#
#   --dir DIR      the folder the cluster runs in
#   --timeout S    seconds a node gets to end by itself, before it is killed
#
# Only processes are ended whose pid file, program and data folder agree.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

dir=run
timeout_s=20
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
    *) die "unknown argument '$1'; --help tells more" ;;
  esac
done
need_number --timeout "$timeout_s" 1 3600
dir="$(absolute "$dir")"
[[ -d "$dir" ]] || die "no cluster was ever started in $dir"

declare -A running=()
while IFS= read -r home; do
  if pid="$(server_of "$home")"; then
    running["$home"]="$pid"
    kill -TERM "$pid" 2>/dev/null || true
  else
    rm -f "$home/server.pid"
  fi
done < <(node_dirs "$dir")
if ((${#running[@]} == 0)); then
  say "No cluster runs in $dir."
  exit 0
fi

stopped=0
killed=0
deadline=$((SECONDS + timeout_s))
for home in "${!running[@]}"; do
  until [[ "$(server_of "$home" || true)" != "${running[$home]}" ]]; do
    if ((SECONDS >= deadline)); then
      say "$(basename "$home") did not end within $timeout_s s: killed (pid ${running[$home]})."
      kill -KILL "${running[$home]}" 2>/dev/null || true
      killed=$((killed + 1))
      deadline_kill=$((SECONDS + 10))
      while [[ "$(server_of "$home" || true)" == "${running[$home]}" ]] && ((SECONDS < deadline_kill)); do
        sleep 0.05
      done
      break
    fi
    sleep 0.05
  done
  rm -f "$home/server.pid"
  stopped=$((stopped + 1))
done
say "Stopped $stopped node(s) in $dir; the data stays there."
((killed == 0))
