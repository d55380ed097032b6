#!/bin/sh
# Runs a class of Kafka, as the script of the same name in Apache's archive does: kafka-run-class.sh CLASS ARGUMENT…
# Read: KAFKA_HEAP_OPTS, KAFKA_JVM_PERFORMANCE_OPTS, KAFKA_LOG4J_OPTS, KAFKA_OPTS, JAVA_HOME.
set -eu
home=$(cd "$(dirname "$0")/.." && pwd)
cds=
# Classes as they were laid out in memory at an earlier start: a second less for each start.
if [ -f "$home/app.jsa" ]; then cds="-XX:SharedArchiveFile=$home/app.jsa -Xlog:cds=off"; fi
jars=$(printf '%s:' "$home"/lib/*.jar)
# Options are separated by white space.
# shellcheck disable=SC2086
exec "${JAVA_HOME:+$JAVA_HOME/bin/}java" -Xshare:auto $cds ${KAFKA_HEAP_OPTS:--Xmx256M} \
  ${KAFKA_JVM_PERFORMANCE_OPTS:--XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xss512k -Djava.awt.headless=true} \
  ${KAFKA_LOG4J_OPTS:--Dlog4j2.configurationFile=$home/config/tools-log4j2.properties} ${KAFKA_OPTS:-} \
  -cp "${jars%:}" "$@"
