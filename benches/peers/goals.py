"""The goals that this measurement can judge, each a ratio or a figure within one run."""

from dataclasses import dataclass
from typing import Callable


@dataclass(frozen=True)
class Goal:
    text: str
    limit: float
    # Of a function (case, variant, figure); raises KeyError where that was not measured.
    value: Callable
    at_least: bool = False

    def met(self, value):
        return value >= self.limit if self.at_least else value <= self.limit


def ratio(case, ours, theirs, figure="cpu_us"):
    return lambda of: of(case, ours, figure) / of(case, theirs, figure)


GOALS = (
    Goal("plain: CPU against nginx", 1.05, ratio("plain", "gateway", "nginx")),
    Goal("3 plugins: CPU against nginx + LuaJIT", 0.9, ratio("plugins-3", "gateway+3", "lua+3")),
    Goal("4 plugins: CPU against Envoy + proxy-wasm", 0.25, ratio("plugins-4", "gateway+4", "envoy+4")),
    Goal(
        "one more empty plugin, µs (of eleven)",
        0.5,
        lambda of: (of("growth", "gateway-11 empty plugins", "cpu_us") - of("growth", "gateway-1 empty plugin", "cpu_us"))
        / 10,
    ),
    Goal("two workers: CPU against one", 1.05, ratio("growth", "gateway-2 workers", "gateway")),
    Goal(
        "the same, against what a second worker costs nginx",
        1.05,
        lambda of: of("growth", "gateway-2 workers", "cpu_us")
        / of("growth", "gateway", "cpu_us")
        / (of("growth", "nginx-2 workers", "cpu_us") / of("growth", "nginx", "cpu_us")),
    ),
    Goal("10,000 routes more: CPU against none", 1.05, ratio("growth", "gateway-10,000 routes more", "gateway")),
    Goal("1,000 upstreams more: CPU against none", 1.05, ratio("growth", "gateway-1,000 upstreams more", "gateway")),
    Goal(
        "10,000 idle connections: CPU against none",
        1.05,
        lambda of: of("idle", "gateway", "cpu_us") / of("plain", "gateway", "cpu_us"),
    ),
    Goal("70 % load: p99 against nginx + LuaJIT", 1.0, ratio("latency", "gateway+3", "lua+3", "p99_us")),
    # The median of the rounds' ratios.
    Goal("a swap a second: p99 against none", 1.2, lambda of: of("swaps", "gateway+3", "p99 × steady")),
    Goal(
        "a swap a second: requests lost",
        0,
        lambda of: of("swaps", "gateway+3", "failed") + of("swaps", "gateway+3", "refused"),
    ),
    Goal("4 plugins: MiB before the first request", 40, lambda of: of("plugins-4", "gateway+4", "started_kib") / 1024),
    Goal("KiB for each idle connection", 12, lambda of: of("idle", "gateway", "KiB/connection")),
    Goal("1 GiB bodies: MiB/s against nginx", 0.9, ratio("body-1GiB", "gateway", "nginx", "MiB/s"), at_least=True),
    Goal("TLS, new: requests per CPU against nginx", 0.9, ratio("tls-new", "nginx", "gateway"), at_least=True),
    Goal("TLS, resumed: requests per CPU against nginx", 0.9, ratio("tls-resumed", "nginx", "gateway"), at_least=True),
    Goal("HTTP/2: requests per CPU against nginx", 0.9, ratio("h2", "nginx", "gateway"), at_least=True),
    Goal("HTTP/2 to the upstream: CPU against nginx's grpc_pass", 1.1, ratio("h2-upstream", "gateway+h2", "nginx+h2")),
)


def judged(results):
    """Each goal that was measured, with its value."""

    def of(case, variant, figure):
        return results["cases"][case]["measures"][variant][figure]

    for goal in GOALS:
        try:
            yield goal, goal.value(of)
        except (KeyError, ZeroDivisionError):
            continue
