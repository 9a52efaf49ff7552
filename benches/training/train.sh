#!/bin/bash
# train.sh GATEWAY: traffic of every kind through this binary, on loopback, for less than a minute: HTTP/1.1, HTTP/2, TLS,
# small and large bodies, a chain of three plugins, an aggregate, swaps. It ends well only if every answer was one of 2xx.
set -euo pipefail

gateway=$1
plugins=$PWD/target/plugins
work=$(mktemp -d)
port=${TRAINING_PORT:-18180}
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null; wait; rm -rf "$work"' EXIT

# A token of `alice` that holds until 2100, signed with the secret below.
token=eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiYWxpY2UiLCAiZXhwIjogNDEwMjQ0NDgwMH0.x_Xvi3MruIsscIupS1fR-4VYKPUvVLwHHl0ME4azZww

cat >"$work/gateway.toml" <<TOML
include = ["tls*.toml"]
[server]
workers = 1
access_log = { format = "json", path = "$work/access.log" }
compile_cache = "$work/cache"
[admin]
address = "127.0.0.1:$((port + 3))"
[[listeners]]
name = "public"
address = "127.0.0.1:$port"
protocols = ["h1", "h2"]
[[listeners]]
name = "origin"
address = "127.0.0.1:$((port + 1))"
[plugins.auth]
path = "$plugins/auth.wasm"
config = { schemes = ["jwt"], jwt = { keys = [{ algorithm = "HS256", secret = "0123456789abcdef0123456789abcdef" }], claims_to_headers = { x-user = "sub" } } }
[plugins.rate-limit]
path = "$plugins/rate_limit.wasm"
config = { algorithm = "token_bucket", limit = 1_000_000, window = "1s", key = "attribute:auth.subject" }
[plugins.transform]
path = "$plugins/transform.wasm"
config = { request = { set_headers = { x-from = "gateway" }, remove_headers = ["x-api-key"] }, response = { set_headers = { x-served-by = "gateway" } } }
[plugins.aggregate]
path = "$plugins/aggregate.wasm"
grants = { upstreams = ["origin"] }
config = { merge = "group", parts = [{ name = "one", upstream = "origin", path = "/small" }, { name = "two", upstream = "origin", path = "/small" }] }
[upstreams.origin]
endpoints = ["127.0.0.1:$((port + 1))"]
[[routes]]
name = "small"
listeners = ["origin"]
match = { path = "/**" }
respond = { status = 200, headers = { content-type = "application/json" }, body = '{"id":1,"name":"widget","price":9.99}' }
[[routes]]
name = "large"
listeners = ["origin"]
match = { path = "/large/**" }
respond = { status = 200, body = "$(head -c 65536 /dev/zero | tr '\0' x)" }
[[routes]]
name = "plain"
listeners = ["public"]
match = { path = "/**" }
upstream = "origin"
[[routes]]
name = "three"
listeners = ["public"]
match = { path = "/three/**" }
plugins = ["auth", "rate-limit", "transform"]
upstream = "origin"
[[routes]]
name = "shop"
listeners = ["public"]
match = { path = "/shop/**" }
plugins = ["aggregate"]
TOML

secure=
if command -v openssl >/dev/null; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
        -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
    cat >"$work/tls.toml" <<TOML
[[listeners]]
name = "tls"
address = "127.0.0.1:$((port + 2))"
protocols = ["h1", "h2"]
tls = { certificates = [{ cert = "$work/cert.pem", key = "$work/key.pem" }] }
TOML
    sed -i 's/listeners = \["public"\]/listeners = ["public", "tls"]/' "$work/gateway.toml"
    secure=yes
fi

"$gateway" run --config "$work/gateway.toml" 2>"$work/log" &
pid=$!
for _ in $(seq 300); do
    curl -sf "http://127.0.0.1:$((port + 3))/readyz" >/dev/null && break
    kill -0 "$pid" 2>/dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.1
done

# Many requests on some connections: further arguments, then the address with a range.
ask() { curl -sSf --no-progress-meter -Z --parallel-max 32 -o /dev/null -H "authorization: Bearer $token" "$@"; }

public=http://127.0.0.1:$port
ask "$public/plain/[1-12000]"
ask "$public/three/[1-12000]"
ask "$public/large/[1-2000]"
ask "$public/shop/[1-2000]"
ask --data "$(head -c 1000 "$work/gateway.toml")" "$public/plain/[1-2000]"
# Old versions of curl keep no connection of HTTP/2 without TLS.
for _ in $(seq 200); do ask --http2-prior-knowledge "$public/plain"; done
if [ -n "$secure" ]; then
    ask -k --http1.1 "https://127.0.0.1:$((port + 2))/plain/[1-3000]"
    ask -k --http2 "https://127.0.0.1:$((port + 2))/plain/[1-6000]"
    ask -k --http2 "https://127.0.0.1:$((port + 2))/three/[1-6000]"
    for _ in $(seq 100); do ask -k "https://127.0.0.1:$((port + 2))/plain"; done
fi
curl -sf -X POST "http://127.0.0.1:$((port + 3))/plugins/auth/reload" >/dev/null
curl -sf "http://127.0.0.1:$((port + 3))/metrics" >/dev/null

kill "$pid"
wait "$pid"
pid=
