#!/bin/sh
# Starts a broker, a controller or both in the foreground: kafka-server-start.sh server.properties [--override name=value]…
set -eu
bin=$(dirname "$0")
if [ $# -lt 1 ]; then echo "usage: $0 server.properties [--override name=value]…" >&2; exit 1; fi
export KAFKA_LOG4J_OPTS="${KAFKA_LOG4J_OPTS:--Dlog4j2.configurationFile=$bin/../config/log4j2.properties}"
exec "$bin/kafka-run-class.sh" kafka.Kafka "$@"
