"""The cost model of the gateway, from a run: what a reader needs to work out machines for a load."""

from report import number, table

# The load of the worked example.
RATE, KIB, HANDSHAKES, CONNECTIONS, SHARE = 20_000, 4, 200, 50_000, 0.7


def figures(results):
    """The prices; raises KeyError where a case was not measured."""

    def of(case, variant, figure="cpu_us"):
        return results["cases"][case]["measures"][variant][figure]

    plain = of("plain", "gateway")
    return {
        "request": plain,
        "h2 request": of("h2", "gateway"),
        "auth": of("plugins-1", "gateway+1") - plain,
        "limit and transform": of("plugins-3", "gateway+3") - of("plugins-1", "gateway+1"),
        "empty": (of("growth", "gateway-11 empty plugins") - of("growth", "gateway-1 empty plugin")) / 10,
        "aggregate": of("aggregate", "gateway-aggregate"),
        "KiB": (of("body-64KiB", "gateway") - of("body-1KiB", "gateway")) / 63,
        "handshake": of("tls-new", "gateway"),
        "resumption": of("tls-resumed", "gateway"),
        "start": of("plugins-4", "gateway+4", "started_kib") / 1024,
        "loaded": of("plugins-4", "gateway+4", "resident_kib") / 1024,
        "connection": of("idle", "gateway", "KiB/connection"),
        "in use": of("idle", "gateway", "KiB, just used"),
    }


def markdown(results):
    try:
        price = figures(results)
    except KeyError as missing:
        return f"# Sizing\n\nThe run lacks {missing}.\n"
    each = price["request"] + price["auth"] + price["limit and transform"] + KIB * price["KiB"]
    busy = (RATE * each + HANDSHAKES * price["handshake"]) / 1e6
    memory = price["loaded"] + CONNECTIONS * price["in use"] / 1024
    rows = [
        ("a request forwarded over HTTP/1.1 (84 bytes back)", f"{number(price['request'])} µs"),
        ("the same from HTTP/2", f"{number(price['h2 request'])} µs"),
        ("`auth` with a JSON Web Token that was seen before", f"+ {number(price['auth'])} µs"),
        ("`rate-limit` and `transform`", f"+ {number(price['limit and transform'])} µs"),
        ("each further plugin, for being called", f"+ {number(price['empty'])} µs"),
        ("an aggregate of three upstream requests", f"{number(price['aggregate'])} µs"),
        ("each KiB of a body that no plugin asked for", f"+ {number(price['KiB'])} µs"),
        ("a connection with a full TLS 1.3 handshake and one request", f"{number(price['handshake'])} µs"),
        ("the same with a resumed session", f"{number(price['resumption'])} µs"),
    ]
    memory_rows = [
        ("with four plugins, before the first request", f"{number(price['start'])} MiB"),
        ("the same after load", f"{number(price['loaded'])} MiB"),
        ("each thousand connections used in the last seconds", f"+ {number(price['in use'] * 1000 / 1024)} MiB"),
        ("each thousand idle connections", f"+ {number(price['connection'] * 1000 / 1024)} MiB"),
    ]
    machine = results["machine"]
    return "\n\n".join([
        "# Sizing",
        f"What one core has to give, measured on {machine['cpu']} ({results['date']}, commit {results['commit']}; "
        "`benches/peers/run.py` wrote this page). Another machine is measured with `make bench`.",
        table(("what", "processor time"), rows),
        table(("what", "memory"), memory_rows),
        "## Working out a machine",
        "Cores = requests per second × processor time of one, over the share of a core that is to be busy. Up to about "
        f"{SHARE:.0%} latency stays flat (the case `latency`). Memory = the process + connections.",
        f"{RATE:,} requests a second through auth, rate-limit and transform with {KIB} KiB each, {HANDSHAKES} new TLS "
        f"connections a second, {CONNECTIONS:,} connections open:",
        f"- one request: {number(price['request'])} + {number(price['auth'])} + {number(price['limit and transform'])} "
        f"+ {KIB} × {number(price['KiB'])} = {number(each)} µs\n"
        f"- busy: {RATE:,} × {number(each)} µs + {HANDSHAKES} × {number(price['handshake'])} µs = {busy:.2f} cores, so "
        f"{busy / SHARE:.2f} at {SHARE:.0%}: set `workers` to the next whole number\n"
        f"- memory: {number(price['loaded'])} + {CONNECTIONS:,} × {number(price['in use'])} KiB = {number(memory)} MiB",
    ]) + "\n"  # fmt: skip
