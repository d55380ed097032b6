volume=/var/lib/postgresql/data
data=$volume/pgdata
user=$(secret username)
password=$(secret password)
need_space "$volume"

bin=
for folder in /usr/lib/postgresql/*/bin; do bin=$folder; done
[ -x "$bin/postgres" ] || fail "the image has no /usr/lib/postgresql/*/bin/postgres: correct spec.dependencies.postgres.managed.image"

# Runs statements without a server, so that nobody can connect in between. Errors do not repeat the statement.
offline() {
  "$bin/postgres" --single -D "$1" -c log_min_error_statement=panic -c listen_addresses= postgres >/dev/null
}

if [ ! -f "$data/PG_VERSION" ]; then
  [ ! -e "$data" ] || fail "the volume of $POD_NAME holds a folder pgdata that is no database: look at it, then remove it"
  # A start that was cut short leaves nothing that looks like a database.
  rm -rf "$data.new"
  "$bin/initdb" --pgdata="$data.new" --username="$user" --pwfile="$credentials/password" --auth=scram-sha-256 \
    --encoding=UTF8 --locale=C.UTF-8 --data-checksums
  printf 'CREATE DATABASE sentinel\n' | offline "$data.new"
  mv "$data.new" "$data"
fi

have=$(cat "$data/PG_VERSION")
image=$("$bin/postgres" --version)
image=${image##*PostgreSQL) }
image=${image%%[!0-9]*}
[ "$have" = "$image" ] || fail "the volume holds data of Postgres $have and the image is Postgres $image: \
set spec.dependencies.postgres.managed.image to version $have"

# A server that was killed leaves a note of its number, which is 1 in each container, as is the shell's here: the statement
# below would take it for one that runs. It tells nothing of servers elsewhere; one that sees it gone ends by itself.
rm -f "$data/postmaster.pid"

# The Secret has the last word, also when it was replaced since.
printf "ALTER ROLE \"%s\" WITH LOGIN SUPERUSER PASSWORD '%s'\n" "$user" "$password" | offline "$data"

exec "$bin/postgres" -D "$data" -c config_file="$config/postgresql.conf"
