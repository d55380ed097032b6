# Runs a store in the foreground; made by sentinel-operator. POSIX shell only: images have different ones.
set -eu
umask 077
config=/etc/sentinel/store
credentials=/etc/sentinel/credentials
run=/run/store

# Ends the container with a message that shows in kubectl and in the status of the SentinelChat.
fail() {
  echo "$1" >&2
  printf '%s' "$1" >/dev/termination-log || true
  exit 1
}

# Prints one entry of the credentials. What is allowed in it needs no quotes in any configuration.
secret() {
  value=$(cat "$credentials/$1" 2>/dev/null) || fail "Secret $CREDENTIALS_SECRET has no entry $1: restore it"
  case $value in
    '' | *[!A-Za-z0-9_-]*) fail "Secret $CREDENTIALS_SECRET: entry $1 is empty or has other characters than letters, digits, - and _" ;;
  esac
  printf '%s' "$value"
}

# A store that starts on a full volume ends in ways that tell nothing.
need_space() {
  # The fourth column is what is free, in KiB.
  # shellcheck disable=SC2046
  set -- "$1" $(df -Pk "$1" | tail -n 1)
  [ "$5" -ge 16384 ] || fail "the volume of $POD_NAME is full: write a larger spec.dependencies.$STORE.managed.storage.size"
}

