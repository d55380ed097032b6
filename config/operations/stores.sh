#!/bin/sh
# Copies what the managed stores of a chat of profile Distributed hold, and puts it into those of a new one. Needs kubectl,
# rclone, and a file system with extended attributes for the folder: what objects are called and of which type is in those.
#   stores.sh save FOLDER     while people chat
#   stores.sh load FOLDER     into a chat that was just made, with the Secret of the keys of then and the image of then
# Of Secrets that the resource names, only that of the keys is copied.
# CHAT (chat) names the resource, PORT (19500) a free port here. The namespace is that of kubectl.
set -eu
umask 077
chat=${CHAT:-chat} port=${PORT:-19500} part=app.kubernetes.io/instance=${CHAT:-chat},app.kubernetes.io/component

# Whether the operator runs a store. What can't be told ends the script, so this must not run in a subshell.
has() {
  found=$(kubectl get statefulset "$chat-$1" --ignore-not-found -o name) || exit 1
  [ -n "$found" ] || { echo "$1 is not managed: see to its copy yourself" >&2 && false; }
}

# Writes objects down, without what ties them to this cluster.
describe() {
  described=$(kubectl get "$@" -o yaml)
  printf '%s\n' "$described" | sed -E '/^ *(uid|resourceVersion|creationTimestamp|namespace): /d'
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

# Runs rclone, for which the files are `s3:sentinel-media`. In a subshell, whose traps are its own.
s3() (
  user=$(kubectl get secret "$chat-s3-credentials" -o 'jsonpath={.data.username}')
  password=$(kubectl get secret "$chat-s3-credentials" -o 'jsonpath={.data.password}')
  user=$(printf %s "$user" | base64 -d) password=$(printf %s "$password" | base64 -d)
  kubectl port-forward "service/$chat-s3" "$port:9000" >/dev/null &
  forward=$!
  trap 'kill "$forward" 2>/dev/null || true' EXIT
  trap 'exit 1' HUP INT TERM
  RCLONE_CONFIG_S3_TYPE=s3 RCLONE_CONFIG_S3_PROVIDER=Other RCLONE_CONFIG_S3_ENDPOINT=http://127.0.0.1:$port \
    RCLONE_CONFIG_S3_ACCESS_KEY_ID=$user RCLONE_CONFIG_S3_SECRET_ACCESS_KEY=$password \
    rclone --metadata --retries 10 --retries-sleep 1s "$@"
  # One that has ended by itself is an error: something else may have answered at the port.
  kill "$forward"
  trap - EXIT
)

# Removes what a copy that failed would leave on the nodes for good.
forget() {
  for node in $cassandra; do
    nodetool "$node" clearsnapshot -t "$name" || echo "$node keeps the snapshot $name: remove it with nodetool clearsnapshot" >&2
  done
}

save() {
  # Without files rclone makes no folder.
  mkdir "$1" "$1/s3"
  describe schat "$chat" >"$1/sentinelchat.yaml"
  describe secret -l "app.kubernetes.io/instance=$chat" >"$1/secrets.yaml"
  # One that the user named does not have the label.
  keys=$(kubectl get schat "$chat" -o 'jsonpath={.spec.encryption.keySecret.name}')
  if [ -n "$keys" ]; then
    describe secret "$keys" >"$1/keys.yaml"
  fi
  # Cassandra first: accounts and files that its messages need are in the copies of the others. Postgres within a minute: that
  # long it knows at least what is to be erased with an account that was deleted.
  name=copy-$(date -u +%Y%m%dT%H%M%SZ)
  trap forget EXIT
  trap 'exit 1' HUP INT TERM
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
  trap - EXIT
  echo "complete: $1. Keep its secrets.yaml, and its keys.yaml if it has one, elsewhere: they have the keys"
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
    mkdir -p "$1/s3"
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
  # The operator makes it once the migration has succeeded.
  tries=0
  until [ -n "$(kubectl get deployment "$chat-search" --ignore-not-found -o name)" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || { echo "the operator makes no $chat-search: see the conditions of $chat" >&2 && exit 1; }
    sleep 2
  done
  kubectl rollout status deployment "$chat-search" --timeout=30m
  kubectl exec "deploy/$chat-search" -- sentinel reindex --config /etc/sentinel/sentinel.json
}

case ${1:-} in
  save | load) [ -n "${2:-}" ] || { echo "name a folder" >&2 && exit 2; } ;;
  *) echo "write save or load, and a folder" >&2 && exit 2 ;;
esac
cassandra=
if has cassandra; then
  cassandra=$(kubectl get pods -l "$part=cassandra" -o 'jsonpath={.items[*].metadata.name}')
  [ -n "$cassandra" ] || { echo "cassandra has no pods" >&2 && exit 1; }
fi
"$1" "$2"
