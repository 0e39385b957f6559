#!/bin/sh
if [ $# -lt 1 ]; then
    echo "USAGE: $0 zookeeper_host:port[/path] [-zk-tls-config-file file] [args...]"
    exit 1
fi
. "$(dirname "$(readlink -f "$0")")/cli/find.sh"
binary=$(find_binary kafka) || exit 1
exec "$binary" zookeeper-shell "$@"
