user=$(secret username)
password=$(secret password)
need_space /data
hash=$(printf '%s' "$password" | sha256sum)
hash=${hash%% *}
{
  echo 'user default off'
  # For probes: it needs no password and can do nothing else.
  echo 'user probe on nopass -@all +ping'
  echo "user $user on #$hash ~* &* +@all"
} >"$run/users.acl"
exec redis-server "$config/redis.conf"
