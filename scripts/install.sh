#!/usr/bin/env bash
# Installs Odradek: programs and tools into /usr/bin, configuration into /etc/odradek,
# units for systemd, a user `odradek`, and data in /var/lib/odradek.
#
#   scripts/install.sh [--root DIR]                install, or bring up to date
#   scripts/install.sh [--root DIR] --uninstall    remove programs and units
#
# Builds first if cargo is there. Configuration that was edited is kept, the
# new one is put beside it as *.new. --root (or DESTDIR) installs into another
# system's root, without touching this one. Data and edited configuration stay
# after --uninstall.
set -euo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=${CARGO_TARGET_DIR:-$top/target}/release
root=${DESTDIR:-}
action=install

programs=(coordinator broker kafka)
units=(coordinator.service broker.service)
configs=(coordinator.properties broker.properties)
# Names of the one tool, which goes by the name it is called with.
tools=(kafka-topics kafka-console-producer kafka-console-consumer kafka-consumer-groups
  kafka-configs kafka-delete-records kafka-log-dirs kafka-leader-election
  kafka-reassign-partitions kafka-producer-perf-test kafka-consumer-perf-test
  kafka-dump-log kafka-transactions kafka-verifiable-producer kafka-verifiable-consumer
  kafka-get-offsets kafka-broker-api-versions kafka-acls kafka-cluster kafka-features
  kafka-client-metrics kafka-e2e-latency kafka-streams-application-reset
  kafka-replica-verification kafka-delegation-tokens kafka-mirror-maker zookeeper-shell)

fail() { echo "install.sh: $*" >&2; exit 1; }

while [ $# -gt 0 ]; do
  case $1 in
    --root) root=${2:?install.sh: --root needs a folder}; shift 2 ;;
    --uninstall) action=uninstall; shift ;;
    --help | -h) sed -n '2,/^set /p' "$0" | sed '$d; s/^# \{0,1\}//'; exit 0 ;;
    *) fail "unknown option '$1' (scripts/install.sh --help)" ;;
  esac
done
root=${root%/}
systemd_dir=$root/usr/lib/systemd/system
config_dir=$root/etc/odradek
shipped_dir=$root/usr/share/odradek

# Only a system that was booted by systemd, and is this one, is told.
systemd_runs() { [ -z "$root" ] && [ -d /run/systemd/system ]; }

check_target() {
  [ -z "$root" ] || [ -d "$root" ] || fail "there is no folder $root"
  [ -w "${root:-/}" ] || fail "cannot write to ${root:-/}: run as root, or choose --root DIR"
  [ -n "$root" ] || [ "$(id -u)" = 0 ] || fail "run as root, or choose --root DIR"
}

build() {
  if command -v cargo >/dev/null; then
    cargo build --release --locked --bins --manifest-path "$top/Cargo.toml" ||
      fail "the build failed (its output is above)"
  fi
  for program in "${programs[@]}"; do
    [ -x "$bin/$program" ] || fail "$bin/$program is missing: run cargo build --release first"
  done
}

# The shipped configuration, with data where the units keep it.
installed_config() {
  local key=dataDir value=/var/lib/odradek/coordinator
  [ "$1" = broker.properties ] && key=log.dirs value=/var/lib/odradek/broker
  grep -qE "^#?[[:space:]]*${key//./\\.}[[:space:]]*=" "$top/config/$1" ||
    fail "config/$1 has no line for $key"
  # The first line for the key, active or commented out, becomes the one line.
  awk -v key="$key" -v value="$value" '
    { line = $0; sub(/^#?[ \t]*/, "", line) }
    index(line, key) == 1 && substr(line, length(key) + 1) ~ /^[ \t]*=/ {
      if (!done) print key "=" value
      done = 1
      next
    }
    { print }' "$top/config/$1"
}

# An unedited file (the same as was shipped last time) is replaced, an edited one kept.
install_config() {
  local name=$1 new
  new=$(mktemp)
  installed_config "$name" >"$new"
  if [ ! -e "$config_dir/$name" ] || cmp -s "$config_dir/$name" "$shipped_dir/$name"; then
    install -m 0644 "$new" "$config_dir/$name"
    rm -f "$config_dir/$name.new"
  elif ! cmp -s "$new" "$shipped_dir/$name"; then
    install -m 0644 "$new" "$config_dir/$name.new"
    echo "kept your $config_dir/$name; the new one is $name.new"
  fi
  install -m 0644 "$new" "$shipped_dir/$name"
  rm -f "$new"
}

create_user() {
  install -m 0644 "$top/config/systemd/odradek.sysusers" "$root/usr/lib/sysusers.d/odradek.conf"
  if [ -n "$root" ]; then
    # Booting that system creates the user, unless it can be done now.
    ! command -v systemd-sysusers >/dev/null || systemd-sysusers --root="$root" odradek.conf
  elif command -v systemd-sysusers >/dev/null; then
    systemd-sysusers odradek.conf
  elif ! id odradek >/dev/null 2>&1; then
    useradd --system --home-dir /var/lib/odradek --shell /usr/sbin/nologin odradek
  fi
}

# The names a Kafka user types, where the real ones are not installed.
enable_units() {
  if systemd_runs; then
    systemctl daemon-reload
    systemctl enable "${units[@]}"
  elif command -v systemctl >/dev/null; then
    systemctl --root="${root:-/}" enable "${units[@]}"
  else
    echo "no systemd here: start $root/usr/bin/coordinator and $root/usr/bin/broker by other means"
  fi
}

install_all() {
  build
  install -d "$root/usr/bin" "$config_dir" "$shipped_dir" "$systemd_dir" "$root/usr/lib/sysusers.d"
  for program in "${programs[@]}"; do
    # Over a running program only a new file can be put, not new content.
    install -m 0755 "$bin/$program" "$root/usr/bin/.$program.new"
    mv -f "$root/usr/bin/.$program.new" "$root/usr/bin/$program"
  done
  for tool in "${tools[@]}"; do
    # A real Kafka's tool of that name stays.
    name=$root/usr/bin/$tool.sh
    if [ -L "$name" ] || [ ! -e "$name" ]; then ln -sfn kafka "$name"; fi
  done
  for name in "${configs[@]}"; do install_config "$name"; done
  for unit in "${units[@]}"; do install -m 0644 "$top/config/systemd/$unit" "$systemd_dir/$unit"; done
  create_user
  enable_units
  echo "installed; edit $config_dir/*.properties, then: systemctl start coordinator broker"
}

uninstall_all() {
  if systemd_runs; then
    systemctl disable --now broker.service coordinator.service 2>/dev/null || true
  elif command -v systemctl >/dev/null; then
    systemctl --root="${root:-/}" disable "${units[@]}" 2>/dev/null || true
  fi
  for program in "${programs[@]}"; do rm -f "$root/usr/bin/$program"; done
  for tool in "${tools[@]}"; do
    [ "$(readlink "$root/usr/bin/$tool.sh")" != kafka ] || rm -f "$root/usr/bin/$tool.sh"
  done
  for unit in "${units[@]}"; do rm -f "$systemd_dir/$unit"; done
  for name in "${configs[@]}"; do
    if cmp -s "$config_dir/$name" "$shipped_dir/$name"; then rm -f "$config_dir/$name"; fi
    rm -f "$config_dir/$name.new" "$shipped_dir/$name"
  done
  rm -f "$root/usr/lib/sysusers.d/odradek.conf"
  rmdir "$config_dir" "$shipped_dir" 2>/dev/null || true
  systemd_runs && systemctl daemon-reload
  echo "removed; data stays in $root/var/lib/odradek, edited configuration in $config_dir"
}

check_target
"${action}_all"
