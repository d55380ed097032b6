volume=/var/lib/cassandra

# Whether this node is to leave the ring: the operator names it in a file that changes while the node runs.
is_leaving() (
  name=
  if [ -f "$config/leaving" ]; then read -r name <"$config/leaving" || true; fi
  [ "$name" = "$POD_NAME" ]
)

# Tells the operator, which reads what a container said last.
tell() {
  echo "$1"
  printf '%s' "$1" >/dev/termination-log
}

# Asks for the ids of all nodes of the ring, up or down. Fails while some come or go, or are not known yet.
ask() {
  nodes=$(/opt/cassandra/bin/nodetool status | sed -n -e 's/^[UD?]N .* \([0-9a-f-]\{36\}\) .*/\1/p; t' \
    -e 's/^[UD?][JLMN] .*/unsettled/p' | sort)
  case $nodes in
    '' | *unsettled*) return 1 ;;
  esac
}

# Deletes what others have since the nodes of the ring are others. It would be served again when they leave, also what was
# deleted meanwhile. It costs little where there is nothing to delete.
clean() {
  if [ ! -f "$config/members" ]; then return 0; fi
  # Who they are the operator tells, by their volumes. A node that left and was kept after all joins as a new one on the
  # volume of before, so their ids count, too. To ask for them costs a second of Java: once an hour is early enough.
  members=$(cat "$config/members")
  rest=$((rest - 1))
  if [ "$members" = "$known" ] && [ "$rest" -gt 0 ]; then return 0; fi
  # Before it serves clients, a node may not know all others.
  sh "$config/started.sh" || return 0
  ask || return 1
  now=$(printf '%s\n%s' "$members" "$nodes")
  if [ "$now" != "$(cat "$volume/cleaned" 2>/dev/null)" ]; then
    /opt/cassandra/bin/nodetool cleanup -j 1 || return 1
    printf '%s' "$now" >"$volume/cleaned"
  fi
  known=$members
  rest=720
}

# Cleans up, and leaves the ring when told to and ends the node. Runs beside it.
watch() {
  tries=0
  known=
  rest=0
  while sleep 5; do
    if [ ! -f "$volume/joined" ]; then continue; fi
    if ! is_leaving; then
      # One that is not up yet cannot, nor while another joins.
      clean || sleep 60
      continue
    fi
    if words=$(/opt/cassandra/bin/nodetool decommission 2>&1); then
      : >"$volume/left"
      tell 'left the ring'
    else
      echo "$words"
      tries=$((tries + 1))
      if [ "$tries" -lt 3 ]; then continue; fi
      # A node that failed half-way is whole again after a start.
      tell "cannot leave the ring: $(printf '%s' "$words" | tr '\n' ' ' | cut -c 1-400)"
    fi
    kill "$$"
    return
  done
}

if [ -f "$volume/left" ]; then
  if is_leaving; then
    tell 'left the ring'
    exit 0
  fi
  # Others have its data, and a ring takes no node back: it joins as a new one.
  rm -rf "$volume/data" "$volume/commitlog" "$volume/hints" "$volume/saved_caches" "$volume/cdc_raw" "$volume/joined"
  rm "$volume/left"
fi
need_space "$volume"

# Which nodes are asked for the ring. Only a node that has joined names itself: one that does skips copying the data it
# becomes responsible for. The first node of all has nobody else to ask. A first node without its volume looks the same, but
# the ring of before is on the volumes of others then, which the operator tells: a second ring beside it would serve nothing
# of what was written, and take new writes.
ordinal=${POD_NAME##*-}
seeds=
found=
for other in 0 1 2; do
  [ "$other" != "$ordinal" ] || continue
  name=${POD_NAME%-*}-$other.@PODS@
  seeds="$seeds${seeds:+,}$name"
  if getent hosts "$name" >/dev/null; then found=$name; fi
done
if [ -f "$volume/joined" ]; then
  seeds="$seeds,$POD_IP"
elif [ -z "$found" ]; then
  [ "$ordinal" = 0 ] || fail "no node of the ring is known yet: waiting for ${POD_NAME%-*}-0"
  [ ! -f "$config/founded" ] || fail "the volume of $POD_NAME is empty and no other node of its ring runs: restore the volume, \
or start the others without it or begin anew, as docs/operations.md tells (a node of Cassandra that lost its volume)"
  seeds="$seeds,$POD_IP"
fi

# What the image has, with ours on top.
mkdir -p "$CASSANDRA_CONF"
cp -R /opt/cassandra/conf/. "$CASSANDRA_CONF"
cp "$config/jvm-server.options" "$config/jvm17-server.options" "$config/logback.xml" "$CASSANDRA_CONF"
sed -e "s|@POD_IP@|$POD_IP|g" -e "s|@SEEDS@|$seeds|" "$config/cassandra.yaml" >"$CASSANDRA_CONF/cassandra.yaml"

# Locked memory would count before it is used.
ulimit -l 64 2>/dev/null || true
watch &
exec /opt/cassandra/bin/cassandra -f
