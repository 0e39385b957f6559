#!/bin/sh
if [ $# -lt 1 ]; then
    echo "USAGE: $0 [-daemon] zookeeper.properties"
    exit 1
fi
. "$(dirname "$(readlink -f "$0")")/cli/find.sh"
start_server coordinator zookeeper.log "$@"
