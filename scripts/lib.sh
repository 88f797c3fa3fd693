# What several scripts share. Sourced, never run; the caller has set -euo pipefail.
# shellcheck shell=bash

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

say() { printf '%s\n' "$*"; }

die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# The comment block at the head of the calling script is its manual.
usage() {
  awk 'NR == 1 { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$0"
}

# need_number --nodes "$value" MIN MAX
need_number() {
  if ! [[ "$2" =~ ^[1-9][0-9]{0,5}$ ]] || (($2 < $3 || $2 > $4)); then
    die "$1 takes a number from $3 to $4, not '$2'"
  fi
}

# An absolute path, also for what does not exist yet.
absolute() {
  case "$1" in
    /*) printf '%s\n' "$1" ;;
    *) printf '%s/%s\n' "$PWD" "$1" ;;
  esac
}

# Cores, but no more compilers than memory holds (about 1.5 GiB each).
build_jobs() {
  local memory_mb jobs
  memory_mb="$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)"
  jobs="$(nproc)"
  ((memory_mb / 1500 < jobs)) && jobs=$((memory_mb / 1500))
  printf '%s\n' "$((jobs < 1 ? 1 : jobs))"
}

# The folder with raftkv-server and raftkv-cli.
build_dir() {
  printf '%s\n' "${RAFTKV_BUILD_DIR:-$ROOT/build}"
}

# Makes the binaries, unless the caller brings his own: RAFTKV_BUILD_DIR names a finished build,
# RAFTKV_SKIP_BUILD=1 trusts build/ as it is.
ensure_binaries() {
  local dir
  dir="$(build_dir)"
  if [[ -z "${RAFTKV_BUILD_DIR:-}" && "${RAFTKV_SKIP_BUILD:-0}" != 1 ]]; then
    "$ROOT/scripts/bootstrap.sh" build run
    "$ROOT/scripts/build.sh" release raftkv-server raftkv-cli
  fi
  for binary in raftkv-server raftkv-cli; do
    [[ -x "$dir/$binary" ]] ||
      die "$dir/$binary is missing: run scripts/build.sh (or unset RAFTKV_BUILD_DIR, RAFTKV_SKIP_BUILD)"
  done
}

# Does anything accept connections on this port of 127.0.0.1?
port_taken() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# resp_line PORT COMMAND: the first line of the reply to an inline command. Fails after two seconds.
resp_line() {
  local line
  {
    exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
    printf '%s\r\n' "$2" >&3 || return 1
    IFS= read -r -t 2 line <&3 || return 1
    exec 3<&- 3>&-
  } 2>/dev/null
  printf '%s\n' "${line%$'\r'}"
}

# Does the node on this port answer, and know a leader? (CLUSTER LEADER is an array then.)
node_answers() { [[ "$(resp_line "$1" PING || true)" == "+PONG" ]]; }
node_knows_leader() { [[ "$(resp_line "$1" "CLUSTER LEADER" || true)" == \*[1-9]* ]]; }

# server_of NODE_DIR: the pid of the raftkv-server that runs on this node's data, or failure. The pid
# file alone proves nothing: the number may belong to another process by now.
server_of() {
  local pid exe
  [[ -r "$1/server.pid" ]] || return 1
  pid="$(<"$1/server.pid")"
  [[ "$pid" =~ ^[0-9]+$ ]] || return 1
  exe="$(readlink "/proc/$pid/exe" 2>/dev/null)" || return 1
  [[ "$(basename "${exe% (deleted)}")" == raftkv-server ]] || return 1
  tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF -e "--data_dir=$1/data" || return 1
  printf '%s\n' "$pid"
}

# node_dirs DIR: its n1, n2, ... in order of their numbers.
node_dirs() {
  local dir
  for dir in "$1"/n[0-9]*; do
    [[ -d "$dir" ]] && printf '%s\n' "$dir"
  done | sort -V
}

# cluster_runs DIR: is any node of it alive?
cluster_runs() {
  local dir
  while IFS= read -r dir; do
    server_of "$dir" >/dev/null && return 0
  done < <(node_dirs "$1")
  return 1
}
