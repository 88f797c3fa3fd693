#!/usr/bin/env bash
# Runs the README's commands on a bare Debian 12: a new root made by debootstrap, a clean clone in it,
# nothing else. By hand (it takes minutes, needs root and Debian's packages), not part of CI.
#
#   tests/integration/bare_debian.sh [--dir FOLDER] [--keep] [--tests]
#
#   --dir FOLDER   where the root is made (about 3 GB); default: a new folder in TMPDIR
#   --keep         leave the root there for a look
#   --tests        run scripts/test.sh in it as well
#
# The clone is of HEAD; what is not committed is not in it. The mirror is the one this machine uses.
set -euo pipefail

usage() {
  awk 'NR == 1 { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$0"
}
die() {
  printf 'bare_debian.sh: %s\n' "$*" >&2
  exit 1
}

source_tree="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
root=""
keep=0
tests=0
while (($#)); do
  case "$1" in
    -h | --help) usage; exit 0 ;;
    --dir)
      (($# >= 2)) || die "--dir needs a value"
      root="$2"
      shift 2
      ;;
    --keep) keep=1; shift ;;
    --tests) tests=1; shift ;;
    *) die "unknown argument '$1'; --help tells more" ;;
  esac
done
((EUID == 0)) || die "needs root, for debootstrap and chroot"
for tool in debootstrap git unshare; do
  command -v "$tool" >/dev/null || die "$tool is missing"
done
[[ -n "$root" ]] || root="$(mktemp -d "${TMPDIR:-/tmp}/raftkv-bare-XXXXXX")"
[[ ! -d "$root" || -z "$(ls -A "$root")" ]] || die "$root is not empty"
mkdir -p "$root"
chmod 755 "$root"  # as / is: others than root must be able to look into it

clean() {
  ((keep)) || rm -rf --one-file-system "$root"
}
trap clean EXIT

# The machine's own mirror: from its sources, in the old form (deb URL suite ...) or the new one.
mirror="$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null |
  awk '/^deb / { for (i = 2; i <= NF && !found; i++) if ($i ~ /^https?:/) found = $i }
       /^URIs:/ && !found { found = $2 }
       END { print found }' || true)"
[[ -n "$mirror" ]] || die "found no mirror in /etc/apt"

started=$SECONDS
log="$(mktemp)"
timeout 900 debootstrap --variant=minbase bookworm "$root" "$mirror" >"$log" 2>&1 || {
  tail -n 20 "$log" >&2
  die "debootstrap failed"
}
rm -f "$log"
printf 'a bare Debian %s after %s s: %s packages\n' "$(<"$root/etc/debian_version")" \
  "$((SECONDS - started))" "$(chroot "$root" dpkg-query -W | wc -l)"
# How the network is reached is this machine's affair, not the bare system's.
cp /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
cp -r /etc/apt/apt.conf.d/. "$root/etc/apt/apt.conf.d/"
if [[ -r /etc/ssl/certs/ca-certificates.crt ]]; then
  mkdir -p "$root/etc/ssl"
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/machine-ca.crt"
fi
git clone -q --no-hardlinks "$source_tree" "$root/raftkv"

# Own process and mount namespaces: when the commands end, whatever they left running ends with them.
in_root() {
  # shellcheck disable=SC2016  # the inner shell expands these
  timeout --foreground "$1" unshare --fork --pid --kill-child --mount bash -c '
    mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" &&
      exec chroot "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        NODE_EXTRA_CA_CERTS=/etc/ssl/machine-ca.crt \
        http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" bash -c "$2"
  ' bash "$root" "$2"
}
commands='cd /raftkv && set -x && ./scripts/start_cluster.sh && ./scripts/demo.sh'
commands+=' && redis-cli -c -p 7002 SET bare metal && redis-cli -c -p 7003 GET bare && ./scripts/stop_cluster.sh'
in_root 2400 "$commands"
printf 'the two commands work on a bare Debian 12: %s s in all\n' "$((SECONDS - started))"
if ((tests)); then
  in_root 3600 'cd /raftkv && ./scripts/test.sh'
  printf 'the tests pass on a bare Debian 12: %s s in all\n' "$((SECONDS - started))"
fi
