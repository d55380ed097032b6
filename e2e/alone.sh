# Sourced by the scripts that begin on a cluster, or on stores, of their own: two runs of one name would take those away
# from each other.

# alone WHAT FILE: ends the script if another runs with the same FILE, else keeps others away until it ends, however it does.
# The file stays: whoever removed it could take it from another that waits for it.
# The lock goes with descriptor 8, so whatever is to outlive the script must be started without that: 8>&-
alone() {
  local folder=${XDG_STATE_HOME:-$HOME/.local/state}/sentinel
  mkdir -p "$folder"
  exec 8>"$folder/.run-$2.lock"
  flock -n 8 && return
  echo "another run is at work on $1: wait for its end, or choose another name with NAME=…" >&2
  exit 1
}
