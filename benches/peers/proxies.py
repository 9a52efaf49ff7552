"""The proxies that are measured: how each is configured and started, and that it does its work."""

import base64
import hashlib
import hmac
import http.client
import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import build
from machine import LOAD_CORE, PROXY_CORE, Absent, Process, free_port

CONFIGS = build.HERE / "configs"
SECRET = "thirty-two bytes at the very least"
LUA_MODULE = Path("/usr/lib/nginx/modules/ngx_http_lua_module.so")


def token():
    """A JSON Web Token (RFC 7519) of `alice` that holds until 2100."""

    def part(raw):
        return base64.urlsafe_b64encode(raw).rstrip(b"=")

    claims = {"sub": "alice", "exp": 4_102_444_800}
    signed = b".".join(part(json.dumps(value).encode()) for value in ({"alg": "HS256", "typ": "JWT"}, claims))
    mac = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
    return b".".join([signed, part(mac)]).decode()


TOKEN = token()
# Every proxy gets the same fields, whether or not it reads them.
HEADERS = {"Authorization": f"Bearer {TOKEN}", "X-Api-Key": "abcdefghij"}


@dataclass(frozen=True)
class Variant:
    """One configuration of one proxy."""

    name: str
    kind: str
    plugins: tuple = ()
    # Where its requests go; nginx + Lua has more than one configuration in one file.
    path: str = "/products/1"
    # Of the gateway and of nginx. With a second worker it has the second core too, beside the load.
    workers: int = 1
    # Routes and upstreams that no request asks for, and empty plugins in its chain.
    idle_routes: int = 0
    idle_upstreams: int = 0
    empty: int = 0


PLUGINS = ("auth", "rate-limit", "transform", "empty")
VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("nginx", "nginx"),
        Variant("nginx-2 workers", "nginx", workers=2),
        Variant("nginx+h2", "nginx", path="/over-h2/1"),
        Variant("haproxy", "haproxy"),
        Variant("lua+1", "lua", PLUGINS[:1], "/auth/products/1"),
        Variant("lua+3", "lua", PLUGINS[:3]),
        Variant("lua-aggregate", "lua", ("aggregate",), "/shop/1"),
        Variant("gateway-aggregate", "gateway", ("aggregate",), "/shop/1"),
        Variant("envoy", "envoy"),
        *(Variant(f"envoy+{count}", "envoy-wasm", PLUGINS[:count]) for count in (1, 3, 4)),
        Variant("gateway", "gateway"),
        *(Variant(f"gateway+{count}", "gateway", PLUGINS[:count]) for count in (1, 3, 4)),
        Variant("gateway+h2", "gateway", path="/over-h2/1"),
        Variant("gateway-2 workers", "gateway", workers=2),
        Variant("gateway-10,000 routes more", "gateway", idle_routes=10_000),
        Variant("gateway-1,000 upstreams more", "gateway", idle_upstreams=1_000),
        Variant("gateway-1 empty plugin", "gateway", empty=1),
        Variant("gateway-11 empty plugins", "gateway", empty=11),
    )
}


@dataclass
class Running:
    """A proxy that answers."""

    variant: Variant
    process: Process
    ports: dict
    work: Path
    # Requests per second in a closed loop, once somebody has asked.
    capacity: float | None = None
    # Puts another version in the place of the one that serves; the first round of swaps makes it.
    swap: Callable | None = None

    def address(self, port="h1"):
        return f"127.0.0.1:{self.ports[port]}"


@dataclass
class Bench:
    """What is there to start proxies with. A program that cannot be had is an `Absent` in its place."""

    work: Path
    origin: int
    origin_h2: int
    programs: dict = field(default_factory=dict)

    def start(self, variant):
        """Starts one, waits until it answers, and sees that it does its plugins' work."""
        program = self.programs[variant.kind]
        if isinstance(program, Absent):
            raise program
        work = self.work / variant.name
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        ports = {name: free_port() for name in ("h1", "h2", "tls", "admin")}
        values = {"work": work, "origin": self.origin, "origin_h2": self.origin_h2, "token": TOKEN, "secret": SECRET, **ports}
        values["workers"] = variant.workers
        for name in ("cert.pem", "key.pem", "both.pem"):
            shutil.copy(self.work / name, work)
        command = COMMANDS[variant.kind](program, variant, work, values)
        cores = (PROXY_CORE,) if variant.workers == 1 else (PROXY_CORE, LOAD_CORE)
        process = Process(variant.name, command, cores, work)
        running = Running(variant, process, ports, work)
        try:
            process.wait_until(lambda: fault(running))
        except BaseException:
            process.__exit__()
            raise
        return running


def fill(template, target, values):
    """Puts values in the place of their @names@."""
    text = (CONFIGS / template).read_text()
    text = re.sub(r"@(\w+)@", lambda match: str(values[match[1]]), text)
    target.write_text(text)
    return target


def nginx_command(program, config, work):
    return [program, "-p", f"{work}/", "-c", config, "-g", "daemon off;"]


def nginx(program, _variant, work, values):
    return nginx_command(program, fill("nginx.conf", work / "nginx.conf", values), work)


def lua(program, variant, work, values):
    template = "nginx-lua-aggregate.conf" if "aggregate" in variant.plugins else "nginx-lua.conf"
    return nginx_command(program, fill(template, work / "nginx.conf", values), work)


def haproxy(program, _variant, work, values):
    return [program, "-f", fill("haproxy.cfg", work / "haproxy.cfg", values)]


def envoy(program, variant, work, values):
    filters = []
    if variant.plugins:
        shutil.copy(build.OUT / "filter.wasm", work)
    for name in variant.plugins:
        configuration = f"auth\\n{HEADERS['Authorization']}\\nalice" if name == "auth" else name
        values = {**values, "name": name, "configuration": configuration}
        filters.append(fill("envoy-filter.yaml", work / "filter.yaml", values).read_text().rstrip())
    config = fill("envoy.yaml", work / "envoy.yaml", {**values, "filters": "\n".join(filters)})
    return [program, "-c", config, "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]


def gateway(program, variant, work, values):
    empty = [f"empty-{number}" for number in range(variant.empty)]
    (work / "idle.toml").write_text(idle(variant, values))
    for name in [*variant.plugins, *(["empty"] if empty else [])]:
        component = {"rate-limit": "rate_limit", "empty": "plugin_empty"}.get(name, name)
        shutil.copy(build.OUT / f"{component}.wasm", work)
    included = [*variant.plugins, *(["admin"] if variant.plugins else [])]
    for name in included:
        fill(f"gateway/{name}.toml", work / f"{name}.toml", values)
    included.append("idle")
    chain = [*variant.plugins, *empty]
    values = {
        **values,
        "cache": build.OUT / "compile-cache",
        "include": ", ".join(f'"{name}.toml"' for name in included),
        "workers": variant.workers,
        "chain": ", ".join(f'"{name}"' for name in chain),
    }
    config = fill("gateway/gateway.toml", work / "gateway.toml", values)
    return [program, "run", "--config", config]


def idle(variant, values):
    """The empty plugins of the chain, and upstreams and routes that no request asks for."""
    plugins = (f'[plugins.empty-{i}]\npath = "{values["work"]}/plugin_empty.wasm"\n' for i in range(variant.empty))
    upstreams = (f'[upstreams.idle-{i}]\nendpoints = ["127.0.0.1:{values["origin"]}"]\n' for i in range(variant.idle_upstreams))
    routes = ["respond = { status = 204 }"] * variant.idle_routes
    routes += [f'upstream = "idle-{i}"' for i in range(variant.idle_upstreams)]
    routes = (f'[[routes]]\nname = "idle-{i}"\nmatch = {{ path = "/idle-{i}/{{id}}" }}\n{does}\n' for i, does in enumerate(routes))
    return "".join([*plugins, *upstreams, *routes])


COMMANDS = {"nginx": nginx, "lua": lua, "haproxy": haproxy, "envoy": envoy, "envoy-wasm": envoy, "gateway": gateway}


def fault(running):
    """Why a proxy does not do what its plugins should, or None if it does."""
    status, fields, body = get(running.ports["h1"], running.variant.path, HEADERS)
    if status != 200:
        return f"expected 200, got {status}"
    plugins = running.variant.plugins
    if "auth" in plugins:
        status, _, _ = get(running.ports["h1"], running.variant.path, {**HEADERS, "Authorization": "Bearer x"})
        if status != 401:
            return f"expected 401 for a wrong token, got {status}"
    wanted = {"rate-limit": "x-ratelimit-remaining", "transform": "x-served-by"}
    missing = [name for plugin, name in wanted.items() if plugin in plugins and name not in fields]
    if missing:
        return f"fields that plugins set are missing: {missing}"
    if "aggregate" in plugins and set(json.loads(body)) != {"product", "reviews", "inventory"}:
        return f"expected three parts, got {body!r}"
    return None


def get(port, path, headers):
    return ask("GET", port, path, headers)


def ask(method, port, path, headers, seconds=5):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, {name.lower() for name, _ in answer.getheaders()}, answer.read()
    except http.client.HTTPException as error:
        raise OSError(repr(error)) from error
    finally:
        connection.close()


def start_origin(work):
    """The nginx behind every proxy, beside the load; it and its ports, of HTTP/1.1 and of HTTP/2."""
    port, h2 = free_port(), free_port()
    origin = work / "origin"
    files = origin / "files"
    files.mkdir(parents=True)
    for name, size in (("1KiB", 1 << 10), ("64KiB", 1 << 16), ("1GiB", 1 << 30)):
        with open(files / name, "wb") as file:
            file.truncate(size)
        # Else the first proxy pays for the pages.
        with open(files / name, "rb") as file:
            while file.read(1 << 20):
                pass
    program = build.tool("nginx", "nginx-light")
    config = fill("origin.conf", origin / "origin.conf", {"port": port, "h2": h2, "work": origin})
    process = Process("origin", nginx_command(program, config, origin), (LOAD_CORE,), origin)
    process.wait_until(lambda: None if get(port, "/", {})[0] == 200 else "no 200")
    return process, port, h2


def programs():
    """Every program by kind, built or found; an `Absent` says what is missing."""

    def attempt(find):
        try:
            return find()
        except (Absent, OSError, subprocess.CalledProcessError) as error:
            return error if isinstance(error, Absent) else Absent(str(error))

    def with_lua():
        if not LUA_MODULE.exists():
            raise Absent("nginx's Lua module (Debian: libnginx-mod-http-lua)")
        return build.tool("nginx", "nginx-light")

    def with_filter():
        shutil.copy(build.filter_module(), build.OUT / "filter.wasm")
        return build.envoy()

    def with_plugins():
        program = build.gateway()
        for component in build.plugins():
            shutil.copy(component, build.OUT)
        return program

    build.OUT.mkdir(parents=True, exist_ok=True)
    return {
        "gateway": with_plugins(),
        "nginx": attempt(lambda: build.tool("nginx", "nginx-light")),
        "lua": attempt(with_lua),
        "haproxy": attempt(lambda: build.tool("haproxy", "haproxy")),
        "envoy": attempt(build.envoy),
        "envoy-wasm": attempt(with_filter),
    }
