#!/usr/bin/env bash
# Installs the Debian 12 packages that are missing, as listed in scripts/packages.txt.
#
#   scripts/bootstrap.sh [group ...]     groups: build run test dev; default: build run
#
# Asks the package index only when something is missing. Works as root, or through sudo.
set -euo pipefail
# shellcheck source=scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case "${1:-}" in
  -h | --help) usage; exit 0 ;;
esac
groups=("$@")
((${#groups[@]})) || groups=(build run)
for group in "${groups[@]}"; do
  [[ "$group" =~ ^(build|run|test|dev)$ ]] || die "no group '$group': build, run, test or dev"
done

is_installed() {
  [[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]
}

missing=()
while read -r group package command; do
  [[ -z "$group" || "$group" == \#* ]] && continue
  [[ " ${groups[*]} " == *" $group "* ]] || continue
  [[ -n "$command" ]] && command -v "$command" >/dev/null && continue
  is_installed "$package" || missing+=("$package")
done <"$ROOT/scripts/packages.txt"
((${#missing[@]})) || exit 0

command -v apt-get >/dev/null ||
  die "needs these Debian 12 packages, and there is no apt-get here: ${missing[*]}"
as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null ||
    die "not root and no sudo: ask an administrator to run: apt-get install ${missing[*]}"
  as_root=(sudo)
fi

say "Installing ${#missing[@]} packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
install_missing() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -qq -y \
    --no-install-recommends install "${missing[@]}"
}
# A machine that was never updated has no index at all; one updated long ago names files that are gone.
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
if ! install_missing >"$log" 2>&1; then
  if ! "${as_root[@]}" apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -qq update >"$log" 2>&1 ||
    ! install_missing >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    die "apt-get could not install: ${missing[*]}"
  fi
fi
for package in "${missing[@]}"; do
  is_installed "$package" || die "apt-get said it is done, but $package is not installed"
done
