#!/usr/bin/env bash
# Prints figures of profile Distributed, over the real stores on a cluster of its own, and takes it down.
# Figures are printed and never asserted; a broken guarantee (order, loss, repeats) fails, and so does what can't be measured.
# KEEP=1 leaves the cluster up, and uses one that is; NAME names it (bench). RELEASE=1 builds Sentinel's images with
# optimisation, which takes longer. SECONDS_EACH: length of each measurement (20). CLIENTS (40). MESSAGES followed (50).
set -euo pipefail
cd "$(dirname "$0")/.."
name=${NAME:-bench}
build=debug
options=()
if [ -n "${RELEASE:-}" ]; then build=release options=(--release); fi
. e2e/alone.sh
alone "cluster $name" "$name"
cargo build --locked --workspace --bins
cluster() { target/debug/sentinel-e2e "$@" 8>&-; }
finish() {
  status=$?
  if [ -z "${KEEP:-}" ]; then cluster down --name "$name" >&2 || status=1; fi
  exit $status
}
trap finish EXIT

# A run that was cut short leaves its cluster, with what was written into it; figures are of a new one.
if [ -z "${KEEP:-}" ]; then cluster down --name "$name" >&2; fi
cluster up --name "$name" --profile distributed "${options[@]}" >&2
cat <<HEADING

$(uname -m), $(sed -nE 's/^model name\s*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores for everything: the cluster, all stores,
every service and the load. Images of Sentinel are $build builds, the load generator is a debug build.

HEADING
cluster bench-cluster --name "$name" --seconds "${SECONDS_EACH:-20}" --clients "${CLIENTS:-40}" --messages "${MESSAGES:-50}"
