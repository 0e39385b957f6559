# Read by the scripts beside this folder: finds, starts and stops our binaries.

here=$(dirname "$(readlink -f "$0")")

# Where a binary may be, best first: built here, installed, in the system. Of those
# that are built here the newer one is the better, unless PROFILE says which.
places() {
    built=${CARGO_TARGET_DIR:-$here/../target}
    first=$built/release/$1 second=$built/debug/$1
    profile=${PROFILE:-}
    [ -z "$profile" ] && [ "$second" -nt "$first" ] && profile=dev
    if [ "$profile" = dev ]; then
        second=$first first=$built/debug/$1
    fi
    printf '%s\n' "$first" "$second" "${ODRADEK_HOME:-$here/..}/bin/$1" "/usr/bin/$1"
}

# Prints the path of a binary.
find_binary() {
    found=$(places "$1" | while read -r place; do
        if [ -x "$place" ]; then
            readlink -f "$place"
            break
        fi
    done)
    if [ -z "$found" ]; then
        echo "$(basename "$0"): '$1' is not there; build it with: cargo build --release" >&2
        return 1
    fi
    printf '%s\n' "$found"
}

# start_server BINARY LOG [-daemon] FILE [ARGUMENT]...
start_server() {
    binary=$(find_binary "$1") || exit 1
    log=$2
    shift 2
    if [ "$1" != -daemon ]; then
        exec "$binary" "$@"
    fi
    shift
    logs=${LOG_DIR:-$here/../logs}
    mkdir -p "$logs" || exit 1
    nohup setsid "$binary" "$@" >>"$logs/$log" 2>&1 </dev/null &
}

# stop_servers BINARY WHAT: ends those that this user runs from one of our places.
stop_servers() {
    ours=$(places "$1" | while read -r place; do readlink -f "$place"; done)
    stopped=
    for process in /proc/[0-9]*; do
        [ -O "$process" ] || continue
        running=$(readlink "$process/exe" 2>/dev/null) || continue
        running=${running% (deleted)}
        if printf '%s\n' "$ours" | grep -qxF "$running"; then
            kill -s "${SIGNAL:-TERM}" "${process#/proc/}" && stopped=yes
        fi
    done
    if [ -z "$stopped" ]; then
        echo "No $2 server to stop"
        exit 1
    fi
}
