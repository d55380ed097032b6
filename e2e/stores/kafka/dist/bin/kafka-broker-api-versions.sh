#!/bin/sh
# Shows what a broker speaks; a probe.
exec "$(dirname "$0")/kafka-run-class.sh" org.apache.kafka.tools.BrokerApiVersionsCommand "$@"
