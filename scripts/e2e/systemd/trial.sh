#!/usr/bin/env bash
# Runs inside the booted Debian: what an operator does with the two units.
set -uo pipefail

step() { echo "== $*"; }
wrong() { echo "WRONG: $*"; systemctl status --no-pager -l coordinator broker; exit 1; }

# eventually SECONDS WHAT COMMAND...
eventually() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ $SECONDS -lt $deadline ] || wrong "not in time: $what"
    sleep 0.2
  done
}

property() { systemctl show --property="$2" --value "$1"; }
active() { [ "$(property "$1" ActiveState)" = active ]; }

expect() {
  local unit=$1 name=$2 wanted=$3 found
  found=$(property "$unit" "$name")
  [ "$found" = "$wanted" ] || wrong "$unit: $name is '$found', not '$wanted'"
}

serves() {
  exec 3<>/dev/tcp/127.0.0.1/2181 || return 1
  printf srvr >&3
  read -r -t 5 answer <&3
  exec 3>&-
  [[ $answer = "Zookeeper version:"* ]]
}

record() {
  kafka console-producer --bootstrap-server localhost:9092 --topic "$1" <<<"$2" ||
    wrong "a record cannot be sent"
}

read_back() {
  local found
  found=$(kafka console-consumer --bootstrap-server localhost:9092 --topic "$1" \
    --from-beginning --max-messages 1 --timeout-ms 20000) || wrong "a record cannot be read"
  [ "$found" = "$2" ] || wrong "read '$found', sent '$2'"
}

step "both units start at boot"
eventually 90 "coordinator is active" active coordinator
eventually 90 "broker is active" active broker

step "status"
systemctl status --no-pager coordinator broker
for unit in coordinator broker; do
  expect $unit Type notify
  [ -n "$(property $unit StatusText)" ] || wrong "$unit shows no status text"
  [ "$(stat -c %U "/proc/$(property $unit MainPID)")" = odradek ] || wrong "$unit runs as another user"
  [ "$(stat -c %U "/var/lib/odradek/$unit")" = odradek ] || wrong "$unit does not own its data"
  [ -n "$(ls -A "/var/lib/odradek/$unit")" ] || wrong "$unit keeps its data elsewhere"
done
serves || wrong "the coordinator does not answer"

step "a record before the stop"
record trial kept

step "stop"
systemctl stop coordinator broker || wrong "stop fails"
for unit in coordinator broker; do
  expect $unit ActiveState inactive
  expect $unit Result success
done

step "start by Kafka's and ZooKeeper's names"
systemctl start zookeeper || wrong "systemctl start zookeeper fails"
expect coordinator ActiveState active
systemctl start kafka || wrong "systemctl start kafka fails"
expect broker ActiveState active
read_back trial kept

for unit in broker coordinator; do
  step "kill -9 of the $unit, followed by the automatic restart"
  before=$(property $unit MainPID)
  systemctl kill --signal=KILL --kill-who=main $unit
  again() { active $unit && [ "$(property $unit MainPID)" != "$before" ]; }
  eventually 60 "$unit runs again" again
  expect $unit NRestarts 1
  eventually 30 "the coordinator answers" serves
  read_back trial kept
done

step "stop and start by their own names"
systemctl stop broker coordinator || wrong "stop fails"
systemctl start coordinator broker || wrong "start fails"
read_back trial kept
step "all as it should be"
