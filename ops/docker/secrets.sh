# How secrets are made, for make-env.sh here and that of ops/cluster: a file each in secrets/ of the current folder.

random() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

# What is there already is left as it is.
write_secret() { # file value
  [ -e "secrets/$1" ] && return 0
  printf '%s\n' "$2" >"secrets/.$1.new"
  chmod 0444 "secrets/.$1.new"
  mv "secrets/.$1.new" "secrets/$1"
  echo "make-env: wrote secrets/$1" >&2
}
