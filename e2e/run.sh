#!/usr/bin/env bash
# Runs the end-to-end tests of one profile on a cluster of their own, and takes it down.
# PROFILE is embedded (default) or distributed; NAME names it; KEEP=1 uses it if it is there, and leaves it up.
set -euo pipefail
# Tests are of the cluster made here, whatever the shell has exported.
unset KUBECONFIG
cd "$(dirname "$0")/.."
profile=${PROFILE:-embedded}
name=${NAME:-e2e-$profile}
. e2e/alone.sh
alone "cluster $name" "$name"
# What it starts in the background goes on after this run.
cluster() { target/debug/sentinel-e2e "$@" 8>&-; }
finish() {
  status=$?
  if [ $status -ne 0 ] && [ -n "${KUBECONFIG:-}" ]; then
    echo "--- what the cluster says" >&2
    kubectl get schat,pods -A -o wide >&2 || true
    kubectl get events -A --sort-by .lastTimestamp 2>/dev/null | tail -n 20 >&2 || true
    kubectl logs -n sentinel-system deploy/sentinel-operator --tail 20 >&2 || true
    kubectl logs -n chat -l app.kubernetes.io/component --prefix --tail 8 >&2 || true
  fi
  if [ -z "${KEEP:-}" ]; then cluster down --name "$name" || status=1; fi
  exit $status
}
trap finish EXIT

# A run that was cut short leaves its cluster, with what its tests did to it; these tests begin on a new one.
if [ -z "${KEEP:-}" ]; then cluster down --name "$name"; fi
cluster up --name "$name" --profile "$profile"
KUBECONFIG=$(cluster cluster exec --name "$name" -- printenv KUBECONFIG)
export KUBECONFIG

# All test clients share one address; this also shows that a change of limits rolls the platform.
kubectl patch schat chat -n chat --type merge \
  -p '{"spec":{"auth":{"corsOrigins":["https://chat.example.test"]},"limits":{"loginsPerMinute":10000,"requestsPerSecond":100000,"messagesPerSecond":100000}}}'
generation=$(kubectl get schat chat -n chat -o 'jsonpath={.metadata.generation}')
kubectl wait schat chat -n chat --timeout 180s \
  --for "jsonpath={.status.conditions[?(@.type==\"Ready\")].observedGeneration}=$generation"
kubectl wait schat chat -n chat --for condition=Ready --timeout 300s

SENTINEL_URL=http://$(cluster cluster forward --name "$name" -n chat chat-gateway 80)
export SENTINEL_URL SENTINEL_NAMESPACE=chat SENTINEL_LIMITS=tests SENTINEL_FILES_AT_ONCE=2 SENTINEL_CORS_ORIGIN=https://chat.example.test
echo "end-to-end tests at $SENTINEL_URL"
# In Chromium, what a gateway changes: pages and sockets through it, and its pods' end. The rest is `make browser`.
SENTINEL_RESTART="kubectl delete pods -n chat -l app.kubernetes.io/component=gateway" \
  PICTURES=$name e2e/browser.sh -g 'register, find each other|restart of the gateway'
case $profile in
  embedded) names=(bad_input charts chat_survives_pod_kill invalid_resources restore_copy revert_drift steady_state stock_clients survives_sigkill) ;;
  distributed)
    names=(stock_clients many_replicas wrong_credentials outages stores_survive_sigkill scale_in)
    export SENTINEL_PATIENCE_MS=60000 SENTINEL_WRITE_EVERY_MS=200
    ;;
esac
tests=()
for test in "${names[@]}"; do tests+=(--test "$test"); done
cargo test --locked --workspace "${tests[@]}" -- --test-threads 1 --nocapture
