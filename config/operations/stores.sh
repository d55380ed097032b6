#!/bin/sh
# Copies what the managed stores of a chat of profile Distributed hold, and puts it into those of a new one. Needs kubectl,
# rclone, and a file system with extended attributes for the folder: what objects are called and of which type is in those.
#   stores.sh save FOLDER     while people chat
#   stores.sh load FOLDER     into a chat that was just made, with the Secret of the keys of then and the image of then
# CHAT (chat) names the resource, PORT (19500) a free port here. The namespace is that of kubectl.
set -eu
umask 077
chat=${CHAT:-chat} port=${PORT:-19500} part=app.kubernetes.io/instance=${CHAT:-chat},app.kubernetes.io/component

# Whether the operator runs a store.
has() {
  kubectl get statefulset "$chat-$1" >/dev/null 2>&1 || { echo "$1 is not managed: see to its copy yourself" >&2 && false; }
}

nodetool() {
  node=$1
  shift
  kubectl exec "$node" -- /opt/cassandra/bin/nodetool "$@" >/dev/null
}

# Runs a client of Postgres on its server.
postgres() {
  # shellcheck disable=SC2016 # the server's shell fills it in
  kubectl exec -i "$chat-postgres-0" -- sh -euc 'cd /etc/sentinel/credentials
    PATH=$(echo /usr/lib/postgresql/*/bin):$PATH PGUSER=$(cat username) PGPASSWORD=$(cat password)
    export PATH PGUSER PGPASSWORD PGHOST=127.0.0.1 PGDATABASE=sentinel
    exec "$@"' sh "$@"
}

# Runs rclone, for which the files are `s3:sentinel-media`.
s3() {
  kubectl port-forward "service/$chat-s3" "$port:9000" >/dev/null &
  forward=$!
  trap 'kill $forward' EXIT
  entry() { kubectl get secret "$chat-s3-credentials" -o "jsonpath={.data.$1}" | base64 -d; }
  RCLONE_CONFIG_S3_TYPE=s3 RCLONE_CONFIG_S3_PROVIDER=Other RCLONE_CONFIG_S3_ENDPOINT=http://127.0.0.1:$port \
    RCLONE_CONFIG_S3_ACCESS_KEY_ID=$(entry username) RCLONE_CONFIG_S3_SECRET_ACCESS_KEY=$(entry password) \
    rclone --metadata --retries 10 --retries-sleep 1s "$@"
  kill $forward
  trap - EXIT
}

save() {
  mkdir "$1"
  kubectl get secret -l "app.kubernetes.io/instance=$chat" -o yaml |
    sed '/^ *\(uid\|resourceVersion\|creationTimestamp\): /d' >"$1/secrets.yaml"
  # Cassandra first: accounts and files that its messages need are in the copies of the others. Postgres within a minute: that
  # long it knows at least what is to be erased with an account that was deleted.
  name=copy-$(date -u +%Y%m%dT%H%M%SZ)
  for node in $cassandra; do
    nodetool "$node" snapshot -t "$name" sentinel
  done
  if has postgres; then
    postgres pg_dump --clean --if-exists </dev/null >"$1/postgres.sql"
  fi
  if has s3; then
    s3 copy s3:sentinel-media "$1/s3"
  fi
  for node in $cassandra; do
    kubectl exec "$node" -- sh -euc "cd /var/lib/cassandra && tar -cf - --transform \
      's,^data/sentinel/\([^/]*\)-[0-9a-f]*/snapshots/[^/]*,restore/node${node##*-}/\1,' data/sentinel/*/snapshots/$name" >"$1/$node.tar"
    nodetool "$node" clearsnapshot -t "$name"
  done
  echo "complete: $1. Keep its secrets.yaml, which has the keys, elsewhere"
}

load() {
  # Nobody writes meanwhile. The operator makes the services again at the end.
  kubectl patch schat "$chat" --type=merge -p '{"spec":{"paused":true}}'
  kubectl delete deployment,statefulset --cascade=foreground \
    -l "$part in (users,message,presence,notification,search,media)"
  if has postgres; then
    postgres psql -q -v ON_ERROR_STOP=1 --single-transaction <"$1/postgres.sql" >/dev/null
  fi
  if has s3; then
    s3 copy "$1/s3" s3:sentinel-media
  fi
  # Each node takes what all had, and then leaves what others are to have: so it is no matter how many there were.
  for node in $cassandra; do
    for copy in "$1"/*-cassandra-*.tar; do
      kubectl exec -i "$node" -- tar -xf - -C /var/lib/cassandra <"$copy"
    done
    # Files that were taken are gone from where they were. Names of folders have to be words, the last one the name of the table.
    # shellcheck disable=SC2016 # the node's shell fills it in
    kubectl exec "$node" -- sh -euc 'cd /var/lib/cassandra/restore
      for folder in ./*/*; do
        table=${folder##*/}
        if ls ./*/"$table"/*-Data.db >/dev/null 2>&1; then
          /opt/cassandra/bin/nodetool import --no-tokens sentinel "$table" "$PWD"/*/"$table" >/dev/null
        fi
        if ls ./*/"$table"/*-Data.db 2>/dev/null; then echo "Cassandra has not taken these" >&2 && exit 1; fi
      done
      rm -r /var/lib/cassandra/restore'
    nodetool "$node" cleanup sentinel
  done
  kubectl patch schat "$chat" --type=merge -p '{"spec":{"paused":false}}'
  until kubectl rollout status deployment "$chat-search" --timeout=10m; do sleep 2; done
  kubectl exec "deploy/$chat-search" -- sentinel reindex --config /etc/sentinel/sentinel.json
}

case ${1:-} in
  save | load) [ -n "${2:-}" ] || { echo "name a folder" >&2 && exit 2; } ;;
  *) echo "write save or load, and a folder" >&2 && exit 2 ;;
esac
cassandra=
if has cassandra; then
  cassandra=$(kubectl get pods -l "$part=cassandra" -o 'jsonpath={.items[*].metadata.name}')
fi
"$1" "$2"
