#!/usr/bin/env bash
# Installs Odradek into a fresh Debian, boots it with its own systemd, and watches
# the units there: start, status, stop, kill -9, automatic restart, aliases.
#
# Needs root, debootstrap and systemd-nspawn (Debian: apt install debootstrap
# systemd-container), and the release binaries or cargo. The Debian root is made
# once and kept in target/debian-root; each run boots a copy of it.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cache=$top/target/debian-root

fail() { echo "systemd.sh: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "must run as root"
command -v debootstrap >/dev/null || fail "debootstrap is missing (apt install debootstrap)"
command -v systemd-nspawn >/dev/null || fail "systemd-nspawn is missing (apt install systemd-container)"

# The programs need a C library as new as this machine's.
suite=stable
. /etc/os-release
[ "${ID:-}" != debian ] || suite=${VERSION_CODENAME:-stable}

if [ ! -e "$cache/complete" ]; then
  echo "systemd.sh: making a Debian root ($suite) in $cache"
  rm -rf "$cache"
  mkdir -p "$cache"
  debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus "$suite" "$cache/root" >"$cache/log" 2>&1 ||
    fail "debootstrap failed (see $cache/log)"
  touch "$cache/complete"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
cp -a --reflink=auto "$cache/root" "$root"

"$top/scripts/install.sh" --root "$root"

# An installed Debian has this file; debootstrap's smallest variant has not.
printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
install -m 0755 "$top/scripts/e2e/systemd/trial.sh" "$root/usr/local/bin/trial"
cat >"$root/etc/systemd/system/trial.service" <<UNIT
[Unit]
Description=Trial of the units
After=multi-user.target
SuccessAction=exit
SuccessActionExitStatus=0
FailureAction=exit
FailureActionExitStatus=1

[Service]
ExecStart=/usr/local/bin/trial
StandardOutput=file:/trial.log
StandardError=inherit
TimeoutStartSec=300

[Install]
WantedBy=default.target
UNIT
systemctl --root="$root" enable trial.service 2>/dev/null

echo "systemd.sh: booting"
code=0
timeout --kill-after=10 400 systemd-nspawn --quiet --boot --directory="$root" \
  --machine="odradek-trial-$$" --register=no --keep-unit --private-network \
  </dev/null >"$work/console" 2>&1 || code=$?
if [ ! -s "$root/trial.log" ]; then
  tail -n 20 "$work/console" >&2
  fail "Debian did not boot (its console is above)"
fi
cat "$root/trial.log"
if [ $code -ne 0 ]; then
  journalctl --no-pager --directory="$root/var/log/journal" --unit=coordinator --unit=broker -n 60 2>/dev/null || true
  fail "the trial failed (exit $code)"
fi
echo "systemd.sh: passed"
