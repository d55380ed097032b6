#!/bin/sh
# Shows the cluster's id; unregisters brokers.
exec "$(dirname "$0")/kafka-run-class.sh" org.apache.kafka.tools.ClusterTool "$@"
