volume=/var/lib/elasticsearch
need_space "$volume"
# What the image has, with ours on top.
mkdir -p "$ES_PATH_CONF"
cp -R /usr/share/elasticsearch/config/. "$ES_PATH_CONF"
cp "$config/elasticsearch.yml" "$config/log4j2.properties" "$ES_PATH_CONF"

# Only the very first node makes a cluster; all others, and itself later, look for the one that exists. Without its volume it
# looks the same as at first, but then the operator tells that there was a cluster: a second one beside it would take the nodes
# that hold nothing, and writes. Of a single node nobody tells that: no other has the index, which is made anew from messages.
if [ "${POD_NAME##*-}" = 0 ] && [ ! -f "$volume/joined" ]; then
  found=
  for other in 1 2 3; do
    if getent hosts "${POD_NAME%-*}-$other.@PODS@" >/dev/null; then found=$other; fi
  done
  [ -n "$found" ] || [ -f "$config/founded" ] || echo "cluster.initial_master_nodes: [ $POD_NAME ]" >>"$ES_PATH_CONF/elasticsearch.yml"
fi
# Settings of modules that not every build has. Who may connect is the NetworkPolicy's matter.
if [ -d /usr/share/elasticsearch/modules/x-pack-security ]; then
  printf '%s\n' 'xpack.security.enabled: false' 'xpack.ml.enabled: false' 'ingest.geoip.downloader.enabled: false' \
    >>"$ES_PATH_CONF/elasticsearch.yml"
fi
exec /usr/share/elasticsearch/bin/elasticsearch
