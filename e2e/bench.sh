#!/usr/bin/env bash
# Prints figures of a release build: `sentinel standalone` on core 0, the load generator on core 1, over loopback.
# Figures are printed and never asserted; only a broken guarantee (order, loss, repeats) fails.
# SECONDS_EACH: length of each measurement (20). WINDOW_200, WINDOW_2000: messages in flight per client.
# SEARCH_MESSAGES: how many messages are searched (100000). PHOTOS: how many photos are uploaded (100).
# PROFILE=distributed has figures of its own, of a cluster: e2e/bench-distributed.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
each=${SECONDS_EACH:-20}
cargo build --locked --release -p sentinel -p sentinel-e2e
if [ "$(nproc)" -lt 2 ]; then echo "two cores are needed: one for the server, one for the load" >&2; exit 1; fi
ulimit -n 16384 2>/dev/null || ulimit -n "$(ulimit -H -n)"

work=$(mktemp -d)
server=
stop() {
  if [ -n "$server" ]; then kill -TERM "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
  server=
}
trap 'stop; rm -rf "$work"' EXIT

# start ARGUMENTS…: a fresh process for each measurement, so that memory and caches of one do not colour the next.
start() {
  : >"$work/out"
  taskset -c 0 target/release/sentinel standalone --listen 127.0.0.1:0 --data "$work/data" --limits tests --drain 0 "$@" \
    >"$work/out" 2>"$work/log" &
  server=$!
  url=
  for _ in $(seq 100); do
    url=$(sed -nE 's/^.*(http:\/\/127\.0\.0\.1:[0-9]+).*$/\1/p' "$work/out" | head -n 1)
    [ -n "$url" ] && return
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  echo "the server did not start" >&2; tail -n 20 "$work/log" >&2; exit 1
}

# load NAME ARGUMENTS…: runs the generator and keeps its line of JSON.
load() {
  local name=$1; shift
  echo "· $name" >&2
  start
  taskset -c 1 target/release/sentinel-e2e bench --url "$url" --server-pid "$server" --accounts "$work/accounts" \
    --seconds "$each" --json "$@" >"$work/$name.json" || { cat "$work/$name.json" >&2; exit 1; }
  stop
}

# field NAME FIELD: a number of a measurement.
field() { sed -nE "s/.*\"$2\":([0-9.]+|null).*/\1/p" "$work/$1.json"; }
half() { awk -v rate="$(field "$1" acked_per_second)" 'BEGIN { printf "%d", rate / 2 }'; }

each=1 load warm --clients 2000 --idle
# Before there is anything to read into caches at a start, which would be counted as the connections'.
# Two sizes: what the process needs anyway, and what it frees to make room, is in both and cancels out.
load idle-1000 --clients 1000 --idle
load idle-2000 --clients 2000 --idle
for clients in 200 2000; do
  window=$([ "$clients" = 200 ] && echo "${WINDOW_200:-8}" || echo "${WINDOW_2000:-2}")
  load "full-$clients" --clients "$clients" --window "$window"
  load "half-$clients" --clients "$clients" --rate "$(half "full-$clients")"
done
load search --clients 200 --search "${SEARCH_MESSAGES:-100000}"
load presence --clients 1000 --presence 50
load thumbnails --clients 2 --thumbnails "${PHOTOS:-100}"

# The web client in Chromium, on the core that the load has otherwise.
echo "· web client" >&2
web=$(target/release/sentinel-e2e web build | tail -n 1)
CHROMIUM=$(target/release/sentinel-e2e web browser | tail -n 1)
e2e/clients/install.sh browser >&2
start --web "$web"
SENTINEL_URL=$url CHROMIUM=$CHROMIUM taskset -c 1 node e2e/clients/browser/load.mjs >"$work/web.json"
stop

per_connection() { awk -v one="$(field idle-1000 memory_kib)" -v two="$(field idle-2000 memory_kib)" 'BEGIN { printf "%.1f", (two - one) / 1000 }'; }

row() {
  printf '| %s | %.0f | %.1f / %.1f | %.1f / %.1f | %s | %.0f |\n' "$1" "$(field "$2" acked_per_second)" \
    "$(field "$2" ack_p50_ms)" "$(field "$2" ack_p99_ms)" \
    "$(field "$2" delivery_p50_ms)" "$(field "$2" delivery_p99_ms)" \
    "$(field "$2" out_of_order)" "$(field "$2" cpu_ms_per_1000)"
}
# milliseconds NAME FIELD: both quantiles of a measurement.
milliseconds() { printf 'p50 %.1f ms, p99 %.1f ms' "$(field "$1" "$2_p50_ms")" "$(field "$1" "$2_p99_ms")"; }
cat <<TABLE

$(uname -m), $(sed -nE 's/^model name\s*: //p' /proc/cpuinfo | head -n 1), server on one core, $each s each

| load | acknowledged/s | acknowledgement p50 / p99 ms | delivery p50 / p99 ms | out of order | server CPU ms per 1,000 |
|---|---|---|---|---|---|
$(row '200 clients, all they can' full-200)
$(row '200 clients, half of that' half-200)
$(row '2,000 clients, all they can' full-2000)
$(row '2,000 clients, half of that' half-2000)

Search over ${SEARCH_MESSAGES:-100000} messages in 100 chats, the request included: $(milliseconds search common) for two common
words, $(milliseconds search rare) for one message; from the acknowledgement to being found $(milliseconds search searchable).

Presence of 1,000 users who watch 50 others each, $(field presence changes) changes: from a change to one who watches
$(milliseconds presence presence)

Photos of 12 million pixels, $(field thumbnails photo_kib) KiB: from the end of the upload until the thumbnail is there $(milliseconds thumbnails thumbnail)

Memory of an idle authenticated connection, from 1,000 to 2,000 of them: $(per_connection) KiB

Web client in Chromium, until one can log in: $(field web cold_ms) ms from nothing ($(field web cold_kib) KiB), $(field web warm_ms) ms again
TABLE
