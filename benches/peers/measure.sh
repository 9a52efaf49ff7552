#!/usr/bin/env bash
# CPU per request of this gateway (plain, 1 and 3 plugins) beside nginx and nginx + LuaJIT, in one run.
# Needs nginx, its Lua module and wrk (Debian: nginx-light libnginx-mod-http-lua wrk). Loopback only; about two
# minutes. Proxies run on core 0, the origin and the load on core 1.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
rounds=${ROUNDS:-3} seconds=${SECONDS_EACH:-4} connections=${CONNECTIONS:-32}
work=$(mktemp -d)
started=()
trap 'for pid in "${started[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$work"' EXIT

cargo build --quiet --release --package gateway --manifest-path "$root/Cargo.toml"

nginx_with() { # core configuration
  cp "$here/$2.conf" "$work/"
  taskset -c "$1" nginx -p "$work/" -c "$work/$2.conf" -g 'daemon off;' 2>/dev/null &
  started+=($!)
}
gateway_with() { # configuration
  sed "s#{plugins}#$root/target/plugins#" "$here/$1.toml" >"$work/$1.toml"
  taskset -c 0 "$root/target/release/gateway" run --config "$work/$1.toml" >"$work/$1.log" 2>&1 &
  started+=($!)
}
nginx_with 1 origin
nginx_with 0 nginx; nginx=$!
nginx_with 0 nginx-lua; lua=$!
gateway_with plain; plain=$!
gateway_with one; one=$!
gateway_with three; three=$!
sleep 3

ticks() { local t=0 p; for p in $(pgrep -P "$1" || true) "$1"; do t=$((t + $(awk '{print $14 + $15}' "/proc/$p/stat"))); done; echo "$t"; }
for _ in $(seq "$rounds"); do
  for item in "nginx:8103:$nginx" "nginx+lua:8108:$lua" "gateway:8110:$plain" "gateway+1:8111:$one" "gateway+3:8112:$three"; do
    IFS=: read -r name port pid <<<"$item"
    before=$(ticks "$pid")
    out=$(taskset -c 1 wrk -t1 -c"$connections" -d"${seconds}s" --latency -H 'Authorization: Bearer abcdefghij' -H 'X-Api-Key: abcdefghij' "http://127.0.0.1:$port/products/1")
    after=$(ticks "$pid")
    awk -v n="$name" -v c=$((after - before)) -v m="$(awk '/VmRSS/{print $2}' "/proc/$pid/status")" \
      '/requests in/{q=$1} /Requests\/sec/{r=$2} /99%/{p=$2} /Non-2xx|Socket errors/{e=$0} END{printf "%-12s %8.0f req/s %6.1f cpu_us/req  p99 %-9s rss %d KiB %s\n", n, r, c*10000/q, p, m, e}' <<<"$out"
  done
done
