#!/bin/sh
# Runs the contract tests of the stock clients against SENTINEL_URL, the base URL of a running Sentinel.
# SENTINEL_CORS_ORIGIN: an origin that it allows. SENTINEL_SIGNING_KEY: its key, to make tokens that only claims make wrong.
# SENTINEL_CONFORMANCE: cases of each route by which the API description is checked; without it that is left out.
# SENTINEL_DATA and SENTINEL_PROGRAM: its folder of data and the program, to make admins.
# SENTINEL_LIMITS=tests: its rate limits were raised, so that they can't be tested.
# SENTINEL_FILES_AT_ONCE: files of tests that run at the same time, which takes raised limits; one unless said.
set -eu
: "${SENTINEL_URL:?must be the base URL of a running Sentinel, for example http://127.0.0.1:8080}"
here=$(cd "$(dirname "$0")" && pwd)
"$here/install.sh"
failed=0
(cd "$here/js" && node --test --test-concurrency=${SENTINEL_FILES_AT_ONCE:-1} --test-reporter=spec test/*.test.mjs) || failed=1
(cd "$here/python" && PYTHONDONTWRITEBYTECODE=1 .venv/bin/python -m pytest) || failed=1
if [ -n "${SENTINEL_CONFORMANCE:-}" ]; then
  PYTHONDONTWRITEBYTECODE=1 "$here/python/.venv/bin/python" "$here/python/conformance.py" || failed=1
fi
exit $failed
