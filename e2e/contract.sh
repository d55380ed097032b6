#!/usr/bin/env bash
# Runs the stock clients' tests against `sentinel standalone` on loopback, then against several message services.
set -euo pipefail
cd "$(dirname "$0")/.."
origin=http://chat.example.test
data=$(mktemp -d)
server=
finish() {
  status=$?
  stop || status=1
  if [ $status -ne 0 ]; then
    echo "--- last lines of the servers' logs" >&2
    tail -n 15 "$data"/*.log >&2 || true
  fi
  rm -rf "$data"
  exit $status
}
trap finish EXIT
stop() {
  [ -n "$server" ] || return 0
  kill -TERM "$server" 2>/dev/null || true
  wait "$server" || { echo "the server did not stop cleanly" >&2; return 1; }
  server=
}
# start LIMITS [FLAG...]: starts a server on a free port and sets url
start() {
  limits=$1
  shift
  target/debug/sentinel standalone --listen 127.0.0.1:0 --data "$data/store" --cors-origin "$origin" \
    --limits "$limits" "$@" >"$data/$limits.out" 2>"$data/$limits.log" &
  server=$!
  for _ in $(seq 100); do
    url=$(sed -nE 's/^.*ready at (http:\/\/[0-9.:]+).*$/\1/p' "$data/$limits.out")
    [ -n "$url" ] && return
    kill -0 "$server" || { echo "the server ended at start" >&2; return 1; }
    sleep 0.1
  done
  echo "the server was not ready in 10 seconds" >&2
  return 1
}

start tests
echo "sentinel standalone at $url, limits raised"
key=$(find "$data/store/keys" -name "jwt-*.pem" | sort | head -n 1)
SENTINEL_URL=$url SENTINEL_CORS_ORIGIN=$origin SENTINEL_LIMITS=tests SENTINEL_SIGNING_KEY=$key SENTINEL_CONFORMANCE=6 \
  SENTINEL_DATA=$data/store SENTINEL_PROGRAM=$PWD/target/debug/sentinel e2e/clients/run.sh
echo "the search index is made anew, while the server runs and when it is stopped"
anew='^[1-9][0-9]* messages indexed anew$'
target/debug/sentinel reindex --data "$data/store" | grep -E "$anew"
stop
target/debug/sentinel reindex --data "$data/store" | grep -E "$anew"
start default
echo "sentinel standalone at $url, default limits"
SENTINEL_URL=$url node --test --test-reporter=spec e2e/clients/js/test/throttling.test.mjs
stop
start tests --message-retention 30
echo "sentinel standalone at $url, messages kept for 30 seconds"
SENTINEL_URL=$url SENTINEL_MESSAGE_RETENTION=30 node --test --test-reporter=spec e2e/clients/js/test/retention.test.mjs
stop
echo "replicas behind a balancer without sticky sessions"
cargo test --locked --workspace --exclude sentinel-e2e --test replicas -- --ignored
