#!/usr/bin/env bash
# Runs the stock clients' tests against `sentinel standalone` on loopback.
set -euo pipefail
cd "$(dirname "$0")/.."
data=$(mktemp -d)
server=
finish() {
  status=$?
  if [ -n "$server" ]; then kill -TERM "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
  if [ $status -ne 0 ]; then echo "--- last lines of the server's log" >&2; tail -n 30 "$data/log" >&2 || true; fi
  rm -rf "$data"
  exit $status
}
trap finish EXIT
origin=http://chat.example.test
target/debug/sentinel standalone --listen 127.0.0.1:0 --data "$data/store" --cors-origin "$origin" --limits tests >"$data/out" 2>"$data/log" &
server=$!
for _ in $(seq 100); do
  url=$(sed -nE 's/^.*(http:\/\/127\.0\.0\.1:[0-9]+).*$/\1/p' "$data/out" | head -n 1)
  [ -n "$url" ] && break
  kill -0 "$server" || { echo "the server ended at start" >&2; exit 1; }
  sleep 0.1
done
echo "sentinel standalone at $url"
SENTINEL_URL=$url SENTINEL_CORS_ORIGIN=$origin e2e/clients/run.sh
