# Whether clients can connect: their port is opened once the node has joined the ring. What /proc says costs no Java.
set -eu
grep -qi ':2352 [0-9A-F]*:0000 0A' /proc/net/tcp /proc/net/tcp6
[ -f /var/lib/cassandra/joined ] || : >/var/lib/cassandra/joined
