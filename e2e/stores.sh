#!/usr/bin/env bash
# Runs the contract tests of the store adapters, and those of presence among several processes, against real engines on
# loopback, and stops those.
set -euo pipefail
cd "$(dirname "$0")/.."
name=${NAME:-contract}
. e2e/alone.sh
alone "stores $name" "stores_$name"
# The stores go on after the command that starts them.
stores() { target/debug/sentinel-e2e stores "$@" 8>&-; }
finish() {
  status=$?
  stores down --name "$name" || status=1
  exit $status
}
trap finish EXIT

# What a run that was cut short left would be taken up with its data.
stores down --name "$name"
stores up --name "$name" --all
eval "$(stores env --name "$name")"
cargo test --locked --workspace --test postgres --test cassandra --test redis --test kafka --test search --test s3
cargo test --locked --workspace --test presence
