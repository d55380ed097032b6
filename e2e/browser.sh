#!/usr/bin/env bash
# Tests the web client in Chromium. With SENTINEL_URL: against what runs there; without: against `sentinel standalone` on
# loopback. Further arguments go to the test runner: a file, or -g and words of a test's name.
# SENTINEL_RESTART: a command that restarts what browsers are connected to; without it the test of that is skipped.
# SENTINEL_SHAKEN=1: every call and every frame is late by a random time, which shows races of the page (and of tests).
# Pictures of what was seen are put into target/browser/$PICTURES (standalone).
set -euo pipefail
cd "$(dirname "$0")/.."
CHROMIUM=${CHROMIUM:-$(target/debug/sentinel-e2e web browser | tail -n 1)}
export CHROMIUM
e2e/clients/install.sh browser

if [ -z "${SENTINEL_URL:-}" ]; then
  built=$(target/debug/sentinel-e2e web build)
  echo "$built"
  web=${built##*$'\n'}
  work=$(mktemp -d)
  supervisor=
  finish() {
    status=$?
    touch "$work/stop"
    kill -TERM "$(cat "$work/pid")" 2>/dev/null || true
    if [ -n "$supervisor" ]; then wait "$supervisor" || true; fi
    if [ $status -ne 0 ]; then
      # The end of a log is what is read: there is what failed.
      echo "--- warnings, errors and last lines of the server's log" >&2
      grep -E '^[^ ]+ +(WARN|ERROR) ' "$work/log" | tail -n 40 >&2 || true
      tail -n 5 "$work/log" >&2 || true
      if grep -q '^ *1) ' "$work/run" 2>/dev/null; then
        echo "--- what failed" >&2
        sed -n '/^ *1) /,$p' "$work/run" | head -n 60 >&2 || true
      fi
    fi
    rm -rf "$work"
    exit $status
  }
  trap finish EXIT
  # On the port that it got first, it is started again whenever it ends, as a cluster does. Both end with this script, also
  # where that was killed and could not clean up.
  listen=127.0.0.1:0
  (
    runs() { kill -0 "$1" 2>/dev/null; }
    while runs $$ && [ ! -e "$work/stop" ]; do
      target/debug/sentinel standalone --listen "$listen" --data "$work/data" --web "$web" --limits tests --drain 1 \
        >"$work/out" 2>>"$work/log" &
      server=$!
      echo "$server" >"$work/pid"
      if [ "$listen" = 127.0.0.1:0 ]; then
        for _ in $(seq 200); do grep -q ready "$work/out" && break; sleep 0.1; done
        listen=$(sed -nE 's/^.*ready at http:\/\/([0-9.:]+).*$/\1/p' "$work/out")
        [ -n "$listen" ] || { wait "$server" || true; exit 1; }
        echo "$listen" >"$work/address.part"
        mv "$work/address.part" "$work/address"
      fi
      while runs "$server"; do
        runs $$ || kill -KILL "$server" || true
        sleep 0.1
      done
    done
    if ! runs $$; then rm -rf "$work"; fi
  ) &
  supervisor=$!
  for _ in $(seq 250); do
    if [ -e "$work/address" ]; then break; fi
    kill -0 "$supervisor" || { echo "the server did not start" >&2; exit 1; }
    sleep 0.1
  done
  SENTINEL_URL=http://$(cat "$work/address")
  SENTINEL_RESTART="kill -TERM \$(cat $work/pid)"
  export SENTINEL_URL SENTINEL_RESTART
fi
echo "web client at $SENTINEL_URL in $("$CHROMIUM" --version 2>/dev/null)"
export SENTINEL_PICTURES=$PWD/target/browser/${PICTURES:-standalone}
rm -rf "$SENTINEL_PICTURES"
mkdir -p "$SENTINEL_PICTURES"
cd e2e/clients/browser
run() { node_modules/.bin/playwright test "$@" | tee -a ${work:+"$work/run"}; }
if [ $# -eq 0 ]; then
  # Two files at a time, and then by itself what takes the server away from everybody.
  run --workers 2 --grep-invert 'restart of the gateway'
  run -g 'restart of the gateway'
else
  run "$@"
fi
