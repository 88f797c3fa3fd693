#!/bin/sh
# Runs the server with the container's arguments, as process 1, so that its signals arrive.
#
#   docker run raftkv                       one node, clients on port 7001
#   docker run raftkv --node_id=2 ...       the server's own flags
#   docker run raftkv raftkv-cli status ... another program
set -eu

case "${1:-}" in
  "" | -*) ;;
  *) exec "$@" ;;
esac

# Inside a container the loopback address reaches nobody; what is given later on the line wins.
exec raftkv-server \
  --data_dir=/data/raftkv \
  --listen="0.0.0.0:${RAFTKV_PORT:-7001}" \
  --peer_listen="0.0.0.0:${RAFTKV_PEER_PORT:-17001}" \
  "$@"
