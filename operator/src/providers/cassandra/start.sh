volume=/var/lib/cassandra
need_space "$volume"

# Which nodes are asked for the ring. Only a node that has joined names itself: one that does skips copying the data it
# becomes responsible for. The first node of all has nobody else to ask.
ordinal=${POD_NAME##*-}
seeds=
found=
for other in 0 1 2; do
  [ "$other" != "$ordinal" ] || continue
  name=${POD_NAME%-*}-$other.@PODS@
  seeds="$seeds${seeds:+,}$name"
  if getent hosts "$name" >/dev/null; then found=$name; fi
done
if [ -f "$volume/joined" ] || { [ "$ordinal" = 0 ] && [ -z "$found" ]; }; then
  seeds="$seeds,$POD_IP"
elif [ -z "$found" ]; then
  fail "no node of the ring is known yet: waiting for ${POD_NAME%-*}-0"
fi

# What the image has, with ours on top.
mkdir -p "$CASSANDRA_CONF"
cp -R /opt/cassandra/conf/. "$CASSANDRA_CONF"
cp "$config/jvm-server.options" "$config/jvm17-server.options" "$config/logback.xml" "$CASSANDRA_CONF"
sed -e "s|@POD_IP@|$POD_IP|g" -e "s|@SEEDS@|$seeds|" "$config/cassandra.yaml" >"$CASSANDRA_CONF/cassandra.yaml"

# Locked memory would count before it is used.
ulimit -l 64 2>/dev/null || true
exec /opt/cassandra/bin/cassandra -f
