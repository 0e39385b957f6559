#!/bin/sh
. "$(dirname "$(readlink -f "$0")")/cli/find.sh"
binary=$(find_binary kafka) || exit 1
exec "$binary" delegation-tokens "$@"
