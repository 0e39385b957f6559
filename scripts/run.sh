#!/usr/bin/env bash
# Builds what is not built yet, starts a coordinator and a broker, shows that a
# record goes in and comes out again, and stays until Ctrl-C stops both.
#
#   scripts/run.sh [--data DIR] [--config DIR]
#       --data DIR     where records and logs are kept (default: data/)
#       --config DIR   holds coordinator.properties and broker.properties (default: config/)
#
# Ports come from those files: 2181 and 9092 unless they say otherwise. PROFILE=dev
# in the environment runs unoptimised binaries, which the tests do.
set -uo pipefail
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
profile=${PROFILE:-release}
bin=${CARGO_TARGET_DIR:-$top/target}/${profile/#dev/debug}
data=$top/data
config=$top/config
start_seconds=60
stop_seconds=30

usage() { sed -n '/^#   scripts/,/^# Ports/p' "$0" | sed 's/^# \{0,1\}//'; }

while [ $# -gt 0 ]; do
  case $1 in
    --data | --config)
      [ -n "${2:-}" ] || { echo "run.sh: $1 needs a folder" >&2; exit 2; }
      if [ "$1" = --data ]; then data=$2; else config=$2; fi
      shift 2 ;;
    --help | -h) usage; exit 0 ;;
    *) echo "run.sh: unknown option '$1' (scripts/run.sh --help)" >&2; exit 2 ;;
  esac
done

broker_pid='' coordinator_pid='' helper_pid='' serving=no
declare -A log_start

alive() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }

# Stops one daemon and waits for its end.
stop() {
  local name=$1 pid=$2 deadline=$((SECONDS + stop_seconds))
  alive "$pid" || return 0
  echo "stopping the $name"
  kill -TERM "$pid" 2>/dev/null
  while alive "$pid"; do
    if [ $SECONDS -ge $deadline ]; then
      echo "run.sh: the $name did not stop within $stop_seconds s and is killed" >&2
      kill -KILL "$pid" 2>/dev/null
    fi
    sleep 0.05
  done
  wait "$pid" 2>/dev/null
}

# The broker goes first: it still has to say goodbye to the coordinator.
stop_all() {
  trap '' INT TERM HUP
  if alive "$helper_pid"; then
    kill -TERM "$helper_pid" 2>/dev/null
    wait "$helper_pid" 2>/dev/null
  fi
  stop broker "$broker_pid"
  stop coordinator "$coordinator_pid"
}

fail() {
  echo "run.sh: $*" >&2
  stop_all
  exit 1
}

on_signal() {
  echo
  stop_all
  [ $serving = yes ] && exit 0
  exit "$1"
}
trap 'on_signal 130' INT
trap 'on_signal 143' TERM
trap 'on_signal 129' HUP

# Runs a program that a signal to this script can interrupt.
helper() {
  "$@" <&0 9>&- &
  helper_pid=$!
  wait "$helper_pid"
  local code=$?
  helper_pid=''
  return "$code"
}

build() {
  command -v cargo >/dev/null ||
    fail "cargo is missing: install Rust (https://rustup.rs), then run this again"
  helper cargo build --profile "$profile" --locked --bins --manifest-path "$top/Cargo.toml" ||
    fail "the build failed (its output is above)"
}

prepare_data() {
  mkdir -p "$data/logs" 2>/dev/null && [ -w "$data" ] && [ -w "$data/logs" ] ||
    fail "cannot write to the data folder $data"
  data=$(cd "$data" && pwd)
}

# The kernel gives the lock back when this script ends, however it ends.
take_lock() {
  { : >>"$data/run.lock"; } 2>/dev/null || fail "cannot write to the data folder $data"
  exec 9>>"$data/run.lock"
  if ! flock -n 9; then
    fail "already running on $data (process $(cat "$data/run.lock" 2>/dev/null))"
  fi
  echo $$ >"$data/run.lock"
}

# The value of a key in a properties file, or what it is without one.
property() {
  local value
  value=$(sed -n "s/^[[:space:]]*${2//./\\.}[[:space:]]*[=:][[:space:]]*//p" "$1" | tail -n 1 | tr -d '\r')
  echo "${value:-$3}"
}

in_use() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The first free port from $1 on that is none of the others.
free_port_from() {
  local port=$1
  shift
  while [[ " $* " == *" $port "* ]] || in_use "$port"; do port=$((port + 1)); done
  echo "$port"
}

need_free() {
  in_use "$1" && fail "port $1, which the $2 needs, is in use by another program"
  return 0
}

# Asks the coordinator in ZooKeeper's way.
coordinator_serves() {
  local answer=''
  { exec 3<>"/dev/tcp/127.0.0.1/$coordinator_port"; } 2>/dev/null || return 1
  printf srvr >&3
  read -r -t 2 answer <&3 2>/dev/null
  exec 3>&-
  [[ $answer = "Zookeeper version:"* ]]
}

broker_serves() {
  local status=''
  { exec 3<>"/dev/tcp/127.0.0.1/$broker_admin"; } 2>/dev/null || return 1
  printf 'GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
  read -r -t 2 status <&3 2>/dev/null
  exec 3>&-
  [[ $status == HTTP/1.1\ 200* ]]
}

# What a daemon said last in this run, to explain why it ended.
last_words() {
  tail -c "+$((${log_start[$1]} + 1))" "$data/logs/$1.log" | tail -n 8 | sed 's/^/    /' >&2
}

ended() {
  echo "run.sh: the $1 ended by itself; the last lines of $data/logs/$1.log:" >&2
  last_words "$1"
  stop_all
  exit 1
}

# In a session of its own, so that Ctrl-C reaches this script alone, and bound
# to this script's life, so that nothing is left behind when it is killed.
launch() {
  local log=$data/logs/$1.log
  : >>"$log"
  log_start[$1]=$(stat -c %s "$log")
  shift
  setsid setpriv --pdeathsig TERM "$@" >>"$log" 2>&1 </dev/null 9>&- &
}

wait_for() {
  local name=$1 pid=$2 deadline=$((SECONDS + start_seconds))
  until "${name}_serves"; do
    alive "$pid" || ended "$name"
    if [ $SECONDS -ge $deadline ]; then
      last_words "$name"
      fail "the $name does not serve after $start_seconds s (see $data/logs/$name.log)"
    fi
    sleep 0.05
  done
  # The port may have been answered by a program that came first.
  alive "$pid" || ended "$name"
}

start_daemons() {
  launch coordinator "$bin/coordinator" "$config/coordinator.properties" \
    --override dataDir="$data/coordinator" --override admin.serverPort="$coordinator_admin"
  coordinator_pid=$!
  wait_for coordinator $coordinator_pid
  launch broker "$bin/broker" "$config/broker.properties" \
    --override log.dirs="$data/broker" --override admin.serverPort="$broker_admin"
  broker_pid=$!
  wait_for broker $broker_pid
}

tool() { helper "$bin/kafka" "$@"; }

# One record through the front door, in a topic that is gone afterwards.
prove() {
  local topic=run-check-$$ got=$data/logs/check.log sent
  sent="a record sent at $(date +%T)"
  local at=(--bootstrap-server "localhost:$broker_port" --topic "$topic")
  : >"$got"
  tool topics "${at[@]}" --create >>"$got" 2>&1 &&
    tool console-producer "${at[@]}" < <(echo "$sent") >>"$got" 2>&1 ||
    check_failed "a record could not be sent"
  tool console-consumer "${at[@]}" --from-beginning --max-messages 1 --timeout-ms 20000 \
    >"$got" 2>&1 || check_failed "the record could not be read back"
  grep -qxF "$sent" "$got" || check_failed "the record was not read back"
  tool topics "${at[@]}" --delete >>"$got" 2>&1 || check_failed "the topic could not be deleted"
  echo "sent and read back: $sent"
}

check_failed() {
  sed 's/^/    /' "$data/logs/check.log" >&2
  fail "the daemons run, but $1 (above: what the tool said)"
}

introduce() {
  cat <<TEXT

  broker       localhost:$broker_port   Kafka clients     http://localhost:$broker_admin/topics
  coordinator  localhost:$coordinator_port   ZooKeeper clients http://localhost:$coordinator_admin/
  data and logs in $data

In another shell:
  $scripts/kafka-topics.sh --bootstrap-server localhost:$broker_port --create --topic test
  $scripts/kafka-console-producer.sh --bootstrap-server localhost:$broker_port --topic test
  $scripts/kafka-console-consumer.sh --bootstrap-server localhost:$broker_port --topic test --from-beginning

Ctrl-C stops both.
TEXT
}

for file in coordinator broker; do
  [ -r "$config/$file.properties" ] || fail "cannot read $config/$file.properties"
done
coordinator_port=$(property "$config/coordinator.properties" clientPort 2181)
broker_port=$(property "$config/broker.properties" listeners PLAINTEXT://:9092)
broker_port=${broker_port%%,*}
broker_port=${broker_port##*:}

prepare_data
take_lock
need_free "$coordinator_port" coordinator
need_free "$broker_port" broker
build
coordinator_admin=$(property "$config/coordinator.properties" admin.serverPort 8080)
coordinator_admin=$(free_port_from "$coordinator_admin" "$coordinator_port" "$broker_port")
broker_admin=$(property "$config/broker.properties" admin.serverPort 8081)
broker_admin=$(free_port_from "$broker_admin" "$coordinator_port" "$broker_port" "$coordinator_admin")
scripts=$(realpath --relative-base="$PWD" "$top/scripts")

start_daemons
prove
introduce
serving=yes

# `wait` ends with the first daemon that ends, or with a signal.
wait -n "$coordinator_pid" "$broker_pid" 2>/dev/null
if alive "$broker_pid"; then ended coordinator; else ended broker; fi
