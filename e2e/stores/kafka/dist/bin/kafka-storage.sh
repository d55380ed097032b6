#!/bin/sh
# Formats and shows storage folders.
exec "$(dirname "$0")/kafka-run-class.sh" kafka.tools.StorageTool "$@"
