volume=/var/lib/kafka/data
data=$volume/log
user=$(secret username)
password=$(secret password)
cluster=$(secret cluster-id)
controllers=$(secret controllers)
need_space "$volume"

ordinal=${POD_NAME##*-}
voters=
other=0
while [ "$other" -lt "$controllers" ]; do
  voters="$voters${voters:+,}$other@${POD_NAME%-*}-$other.@PODS@:9093"
  other=$((other + 1))
done
roles=broker
listeners=CLIENT://:9092
if [ "$ordinal" -lt "$controllers" ]; then
  roles=broker,controller
  listeners=CLIENT://:9092,CONTROLLER://:9093
fi
# Copies of what Kafka keeps for itself; like the controllers they are what they were at the beginning.
copies=1
insync=1
if [ "$controllers" -ge 3 ]; then
  copies=3
  insync=2
fi

if [ -f "$data/meta.properties" ]; then
  have=$(grep '^cluster.id=' "$data/meta.properties")
  [ "${have#cluster.id=}" = "$cluster" ] || fail "the volume of $POD_NAME belongs to Kafka cluster ${have#cluster.id=} \
and Secret $CREDENTIALS_SECRET names $cluster: restore entry cluster-id"
fi

jaas="org.apache.kafka.common.security.plain.PlainLoginModule required username=\"$user\" password=\"$password\" user_$user=\"$password\";"
{
  cat "$config/server.properties"
  cat <<END
node.id=$ordinal
process.roles=$roles
controller.quorum.voters=$voters
listeners=$listeners
advertised.listeners=CLIENT://$POD_NAME.@PODS@:9092
default.replication.factor=$copies
min.insync.replicas=$insync
offsets.topic.replication.factor=$copies
transaction.state.log.replication.factor=$copies
transaction.state.log.min.isr=$insync
share.coordinator.state.topic.replication.factor=$copies
share.coordinator.state.topic.min.isr=$insync
listener.name.client.plain.sasl.jaas.config=$jaas
listener.name.controller.plain.sasl.jaas.config=$jaas
END
} >"$run/server.properties"

/opt/kafka/bin/kafka-storage.sh format --ignore-formatted --cluster-id "$cluster" --config "$run/server.properties"
exec /opt/kafka/bin/kafka-server-start.sh "$run/server.properties"
