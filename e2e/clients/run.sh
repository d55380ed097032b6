#!/usr/bin/env bash
# Runs the stock clients' tests, JavaScript then Python, against the platform at SENTINEL_URL.
set -euo pipefail
: "${SENTINEL_URL:?set SENTINEL_URL to the base URL of a running Sentinel, such as http://127.0.0.1:8080}"
cd "$(dirname "$0")"
./install.sh
node --test --test-reporter=spec js/test/*.test.mjs
cd python && .venv/bin/python -m pytest -q
