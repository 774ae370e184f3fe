#!/usr/bin/env bash
# Tries both README commands on a fresh machine: a minimal Debian (debootstrap) that holds Node.js and a clone of HEAD and
# nothing else of ours, as root and as another user, in a folder with a space in its name, twice in a row, and after
# kill -9 of the starter. Needs root, debootstrap and Git here; mounts and processes are gone when it ends.
#
#   scripts/try-fresh.sh FOLDER [start|test|all]
#
# With BASE (a model folder) and ADAPTER (a PEFT folder of it) in the environment, `start` also serves that base and types
# the commands that are printed then.
#
# Read from the environment: SUITE (bookworm), MIRROR (debootstrap's own default), NODE (this machine's node), NPM (the
# folder of its npm package), NPMRC (a .npmrc for the users there), REUSE (1: keep the clones of the last run, and what
# was installed and built in them). FOLDER/root is kept and used again.
set -euo pipefail

folder=$(realpath -m "${1:?usage: scripts/try-fresh.sh FOLDER [start|test|all]}")
what=${2:-all}
root=$folder/root
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
node=${NODE:-$(readlink -f "$(command -v node)")}
npm=${NPM:-$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")}
certificates=${NODE_EXTRA_CA_CERTS:-}

# Own mounts and processes: whatever happens in there ends with it.
if [ "${IN_NAMESPACE:-}" = '' ]; then
  IN_NAMESPACE=1 exec unshare --mount --pid --fork --kill-child --mount-proc "$0" "$@"
fi

make_root() {
  if [ ! -e "$root/.complete" ]; then
    debootstrap --variant=minbase --include=ca-certificates "${SUITE:-bookworm}" "$root" ${MIRROR:+"$MIRROR"}
    chroot "$root" useradd --create-home guest
    touch "$root/.complete"
  fi
  install -m 755 "$node" "$root/usr/local/bin/node"
  rm -rf "$root/usr/local/lib/node_modules/npm"
  mkdir -p "$root/usr/local/lib/node_modules"
  cp -R "$npm" "$root/usr/local/lib/node_modules/npm"
  ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
  ln -sf ../lib/node_modules/npm/bin/npx-cli.js "$root/usr/local/bin/npx"
  cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
  if [ -n "$certificates" ]; then
    cp -L "$certificates" "$root/etc/extra-certificates.crt"
  fi
}

mount_root() {
  mount -t proc proc "$root/proc"
  mount -t tmpfs -o mode=755 tmpfs "$root/dev"
  local name
  for name in null zero full random urandom tty; do
    touch "$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
  done
  mkdir -p "$root/dev/shm"
  mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
  ln -s /proc/self/fd "$root/dev/fd"
  ln -s /proc/self/fd/0 "$root/dev/stdin"
  ln -s /proc/self/fd/1 "$root/dev/stdout"
  ln -s /proc/self/fd/2 "$root/dev/stderr"
}

# clone_for USER HOME: a clone without node_modules, in a folder with a space.
clone_for() {
  local place="$root$2/my projects/lorikeet"
  if [ "${REUSE:-}" = 1 ] && [ -d "$place" ]; then return; fi
  rm -rf "$root$2/my projects"
  mkdir -p "$(dirname "$place")"
  git clone --quiet --no-hardlinks "file://$here" "$place"
  if [ -n "${NPMRC:-}" ]; then cp "$NPMRC" "$root$2/.npmrc"; fi
  chroot "$root" chown -R "$1:" "$2"
}

# within USER HOME COMMAND: as a login there would run it.
within() {
  chroot "$root" setpriv --reuid="$1" --regid="$1" --init-groups env -i \
    PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME="$2" USER="$1" LANG=C.UTF-8 \
    ${certificates:+NODE_EXTRA_CA_CERTS=/etc/extra-certificates.crt} \
    bash -c "cd \"\$HOME/my projects/lorikeet\" && $3"
}

# Processes of ours that are left in there, zombies aside.
left_over() {
  local process
  for process in /proc/[0-9]*; do
    grep -qs '^State:.*Z' "$process/status" && continue
    { tr '\0' ' ' <"$process/cmdline"; } 2>/dev/null | grep -E 'dist/apps|bin/postgres|redis-server|scripts/start.mjs' || true
  done
}

expect_nothing_left() {
  local waited left=''
  for waited in $(seq 50); do
    left=$(left_over)
    [ "$left" = '' ] && return
    sleep 0.1
  done
  printf 'STILL RUNNING %s after %s s:\n%s\n' "$1" "$((waited / 10))" "$left"
  exit 1
}

# start USER HOME LABEL [COMMAND]: `npm start` until it is ready; leaves its process in $starter.
start() {
  local log=$folder/$1-$3.log began=$SECONDS
  : >"$log" # of an earlier run
  within "$1" "$2" "exec ${4:-npm start}" >"$log" 2>&1 &
  starter=$!
  until grep -q 'Ctrl-C stops everything' "$log"; do
    if ! kill -0 "$starter" 2>/dev/null; then
      printf 'FAILED: %s as %s\n' "$3" "$1"
      cat "$log"
      exit 1
    fi
    sleep 0.2
  done
  printf '%s as %s: ready after %s s\n' "$3" "$1" "$((SECONDS - began))"
}

run_curls() {
  local log=$folder/$1-first.log line
  grep '^curl ' "$log" | while IFS= read -r line; do
    bash -c "$line" | grep -o '"content":"[^}]*' || { printf 'NO ANSWER: %s\n' "$line"; exit 1; }
  done
}

# process_of PATTERN: the number of the process whose command line begins so.
process_of() {
  local process
  for process in /proc/[0-9]*; do
    if { tr '\0' ' ' <"$process/cmdline"; } 2>/dev/null | grep -qE "^$1"; then basename "$process"; fi
  done | head -1
}

try_start() {
  start "$1" "$2" first
  run_curls "$1"
  kill -INT "$(process_of 'node scripts/start.mjs')"
  wait "$starter" || true
  expect_nothing_left 'after Ctrl-C'
  start "$1" "$2" second
  kill -KILL "$(process_of 'node scripts/start.mjs')"
  wait "$starter" || true
  expect_nothing_left 'after kill -9 of the starter'
  start "$1" "$2" third
  kill -KILL "$(process_of 'npm start')"
  wait "$starter" || true
  expect_nothing_left 'after kill -9 of npm'
  start "$1" "$2" fourth
  kill -INT "$(process_of 'node scripts/start.mjs')"
  wait "$starter" || true
  expect_nothing_left 'at the end'
}

# A base and an adapter of the user's own, by the commands that the start prints.
try_own_base() {
  if [ "${BASE:-}" = '' ]; then return; fi
  local project="$root$2/my projects/lorikeet" command
  rm -rf "$root$2/my base" "$project/my-adapter"
  cp -RL "$BASE" "$root$2/my base"
  cp -RL "$ADAPTER" "$project/my-adapter"
  chown -R --reference="$root$2" "$root$2/my base" "$project/my-adapter"
  start "$1" "$2" own-base 'env MODEL_PATH="$HOME/my base" DATA_DIR="$HOME/own data" npm start'
  grep -A4 -E '^ *Model ' "$folder/$1-own-base.log"
  grep -oE '^ *npx lorikeet .*' "$folder/$1-own-base.log" | while IFS= read -r command; do
    printf '$ %s\n' "$command"
    printf 'Hello\n' | within "$1" "$2" "$command" || exit 1
  done
  kill -INT "$(process_of 'node scripts/start.mjs')"
  wait "$starter" || true
  expect_nothing_left 'after a base of their own'
}

try_test() {
  local log=$folder/$1-test.log
  within "$1" "$2" 'exec npm test' >"$log" 2>&1 </dev/null || { tail -60 "$log"; exit 1; }
  expect_nothing_left 'after npm test'
  printf 'npm test as %s: %s\n' "$1" "$(tail -1 "$log")"
}

make_root
mount_root
clone_for guest /home/guest
if ! chroot "$root" sh -c 'command -v cmake' >/dev/null; then
  echo 'without rights to install:'
  if within guest /home/guest 'exec npm start --silent'; then exit 1; fi
fi
clone_for root /root
chmod 700 "$root/root"
for user in root guest; do
  home=$(chroot "$root" sh -c "echo ~$user")
  case $what in start | all) try_start "$user" "$home"; try_own_base "$user" "$home" ;; esac
  case $what in test | all) try_test "$user" "$home" ;; esac
done
echo 'All of it works on a fresh machine.'
