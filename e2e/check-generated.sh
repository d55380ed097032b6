#!/usr/bin/env bash
# Fails when a generated file is not what the code generates, and says how to mend it.
set -euo pipefail
cd "$(dirname "$0")/.."
target/debug/crdgen --check
out=$(mktemp); trap 'rm -f "$out"' EXIT
for name in openapi asyncapi; do
  target/debug/sentinel "$name" > "$out"
  if ! diff -u "docs/reference/$name.json" "$out"; then
    echo "docs/reference/$name.json is not in step with the code: run 'make generate' and commit" >&2
    exit 1
  fi
done
echo "generated files are in step with the code"
