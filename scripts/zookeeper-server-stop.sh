#!/bin/sh
. "$(dirname "$(readlink -f "$0")")/cli/find.sh"
stop_servers coordinator zookeeper
