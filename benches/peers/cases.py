"""What is measured, with which proxies, and how."""

import itertools
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Callable

import build
import load
from machine import Absent
from proxies import VARIANTS, ask, get

PLAIN = ("nginx", "haproxy", "envoy", "gateway")
GROWTH = (
    "gateway",
    "gateway-2 workers",
    "gateway-10,000 routes more",
    "gateway-1,000 upstreams more",
    "gateway-1 empty plugin",
    "gateway-11 empty plugins",
    # What a second core beside the load costs anyone.
    "nginx",
    "nginx-2 workers",
)
LOAD_SHARE = 0.7
IDLE_CONNECTIONS = 10_000
REST_SECONDS = 12
# In all rounds of a case together. With fewer, its figures say nothing of swaps.
LEAST_SWAPS = 10
# Of a steady and of a swapped part, at least.
SWAP_SECONDS = 4
# Of a swapped part in which the core that serves compiles each version, which takes it up to six seconds.
COLD_SECONDS = 25


@dataclass(frozen=True)
class Case:
    """The first of the variants is what the others are held against."""

    name: str
    title: str
    variants: tuple
    drive: Callable
    # How many times the rounds of the others it takes: what scatters needs more. With 0 it takes the least.
    times: int = 1
    # So many rounds, however few are asked for.
    least: int = 1


@dataclass(frozen=True)
class Settings:
    rounds: int
    seconds: float
    # The program of the fixed rate.
    open_loop: object


def measured(running, drive):
    """What `drive` gives, with the proxy's own time and memory."""
    before = running.process.cpu_seconds()
    sample = drive()
    user, kernel = (now - then for now, then in zip(running.process.cpu_seconds(), before, strict=True))
    done = sample["requests"] + sample["refused"]
    if done == 0:
        raise RuntimeError(f"{running.variant.name} answered nothing")
    sample["cpu_us"] = (user + kernel) / done * 1e6
    sample["kernel_us"] = kernel / done * 1e6
    sample["rps"] = done / sample["seconds"]
    sample["resident_kib"] = running.process.resident_kib()
    return sample


def closed(path=None):
    return lambda running, settings: measured(running, lambda: load.wrk(running, settings.seconds, path))


def bodies(size):
    """Small bodies: the closed loop, with its throughput."""

    def drive(running, settings):
        sample = closed(f"/files/{size}KiB")(running, settings)
        sample["MiB/s"] = sample["rps"] * size / 1024
        return sample

    return drive


def large_body(running, settings):
    count = max(1, round(settings.seconds / 2))
    sample = measured(running, lambda: load.transfers(running, count, "/files/1GiB"))
    sample["resident_kib"] = running.process.peak_kib()
    return sample


def h2(running, settings):
    return measured(running, lambda: load.h2load(running, settings.seconds))


def tls(resumed):
    return lambda running, settings: measured(running, lambda: load.handshakes(running, settings.seconds, resumed))


def idle(running, settings):
    """Memory of each idle connection, and what requests cost beside them."""
    before = running.process.resident_kib()
    with load.Idle(running, IDLE_CONNECTIONS) as connections:
        in_use = (running.process.resident_kib() - before) / IDLE_CONNECTIONS
        # The gateway gives the buffers of a quiet connection back, and takes a moment to call it quiet.
        time.sleep(REST_SECONDS)
        each = (running.process.resident_kib() - before) / IDLE_CONNECTIONS
        sample = measured(running, lambda: load.wrk(running, settings.seconds))
        sample["KiB/connection"] = each
        sample["KiB, just used"] = in_use
        sample["failed"] += IDLE_CONNECTIONS - connections.open()
    return sample


def rate(running):
    """70 % of what it can do, asked once."""
    if running.capacity is None:
        probe = load.wrk(running, 1)
        running.capacity = probe["requests"] / probe["seconds"]
    return LOAD_SHARE * running.capacity


def latency(running, settings):
    due = rate(running)
    sample = measured(running, lambda: load.open_loop(settings.open_loop, running, due, settings.seconds))
    sample["failed"] += sample.pop("unsent")
    sample["due/s"] = due
    return sample


def swaps(cold):
    """Each round is a steady part at the fixed rate, then one with a swap a second, of the same process."""

    def drive(running, settings):
        if running.swap is None:
            running.swap = swapping(running, cold)
            # Both versions, so that those measured come from the compile cache.
            running.swap()
            running.swap()
        steady = latency(running, replace(settings, seconds=max(settings.seconds, SWAP_SECONDS)))
        seconds = max(settings.seconds, COLD_SECONDS if cold else SWAP_SECONDS)
        before = swapped(running)
        with EverySecond(running.swap) as asked:
            sample = latency(running, replace(settings, seconds=seconds))
            # Before the last one is waited for: what is done after the measured seconds does not count.
            sample["swaps"] = asked.count if before is None else swapped(running) - before
        sample["p99 steady"] = steady["p99_us"]
        sample["p99 × steady"] = sample["p99_us"] / steady["p99_us"]
        sample["CPU × steady"] = sample["cpu_us"] / steady["cpu_us"]
        return sample

    return drive


class EverySecond:
    """Does something once a second beside what the block does, from half a second after its beginning."""

    def __init__(self, act):
        self.count = 0
        self._act = act
        self._stop = threading.Event()
        self._thread = ThreadPoolExecutor(1)

    def _repeat(self):
        due = time.monotonic() + 0.5
        while not self._stop.wait(max(0, due - time.monotonic())):
            self._act()
            self.count += 1
            # At once, if the last one took longer.
            due = max(due + 1, time.monotonic())

    def __enter__(self):
        self._done = self._thread.submit(self._repeat)
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.shutdown()
        # Raises what has failed there.
        self._done.result()


def swapping(running, cold):
    """For the gateway another auth component in the place of the old one, for nginx a reload."""
    if running.variant.kind != "gateway":
        return running.process.reload
    component = running.work / "auth.wasm"
    code = (build.OUT / "auth.wasm").read_bytes()
    # Versions of equal code and other bytes: two of them in turn, or one never seen before.
    names = (str(time.time_ns()) for _ in itertools.count()) if cold else itertools.cycle(("a", "b"))

    def swap():
        fresh = component.with_suffix(".new")
        fresh.write_bytes(code + custom_section(next(names)))
        fresh.replace(component)
        status, _, said = ask("POST", running.ports["admin"], "/plugins/auth/reload", {}, seconds=60)
        if status != 200:
            raise RuntimeError(f"the swap was answered with {status}: {' '.join(said.decode().split())}")

    return swap


def swapped(running):
    """How many swaps the gateway has counted itself."""
    if running.variant.kind != "gateway":
        return None
    _, _, metrics = get(running.ports["admin"], "/metrics", {})
    lines = [line for line in metrics.decode().splitlines() if line.startswith("gateway_plugin_swaps_total")]
    return sum(float(line.split()[-1]) for line in lines if '"done"' in line)


def custom_section(name):
    """A section that WebAssembly ignores; lengths below 128, so each is one byte."""
    text = name.encode()
    return bytes([0, len(text) + 1, len(text)]) + text


CASES = (
    Case("plain", "Forwarding, no plugin", PLAIN, closed()),
    Case("plugins-1", "1 plugin: auth", ("lua+1", "envoy+1", "gateway+1"), closed()),
    Case("plugins-3", "3 plugins: auth, rate-limit, transform", ("lua+3", "envoy+3", "gateway+3"), closed()),
    Case("plugins-4", "4 plugins: the three and an empty one", ("envoy+4", "gateway+3", "gateway+4"), closed()),
    Case("body-1KiB", "Bodies of 1 KiB", PLAIN, bodies(1)),
    Case("body-64KiB", "Bodies of 64 KiB", PLAIN, bodies(64)),
    Case("body-1GiB", "Bodies of 1 GiB (memory: the peak)", PLAIN, large_body),
    Case("tls-new", "TLS 1.3, a full handshake for each request", PLAIN, tls(resumed=False)),
    Case("tls-resumed", "TLS 1.3, a resumed session for each request", PLAIN, tls(resumed=True)),
    Case("h2", "HTTP/2 without TLS, one connection of 100 streams", PLAIN, h2),
    Case("h2-upstream", "The same to an upstream of HTTP/2", ("nginx+h2", "gateway+h2"), h2, times=3),
    Case("idle", "Beside 10,000 idle connections", PLAIN, idle, times=0),
    Case("growth", "The gateway as it grows, nothing asked of what is more", GROWTH, closed(), times=3),
    Case("latency", "3 plugins at 70 % of its own capacity, open loop", ("lua+3", "envoy+3", "gateway+3"), latency, times=3),
    Case(
        "swaps",
        "The same with a swap a second, of two versions in turn",
        ("lua+3", "gateway+3"),
        swaps(cold=False),
        times=3,
        least=3,
    ),
    Case("swaps-cold", "The same, to a version never compiled", ("gateway+3",), swaps(cold=True), times=0, least=4),
    Case("aggregate", "One JSON of three sub-requests", ("lua-aggregate", "gateway-aggregate"), closed()),
)


def measure(case, bench, settings, say):
    """The medians of all rounds by variant, the variants in turn; and why variants are not there."""
    absent, running, rounds = {}, {}, {}

    def attempt(name, act):
        """One that fails is left out, and the others go on."""
        try:
            return act()
        except (Absent, RuntimeError, OSError) as error:
            absent[name] = str(error)
            say(f"  {name} left out: {error}")
            return None

    try:
        for name in case.variants:
            if proxy := attempt(name, lambda name=name: bench.start(VARIANTS[name])):
                running[name] = proxy
        started = {name: proxy.process.resident_kib() for name, proxy in running.items()}
        for name, proxy in running.items():
            attempt(name, lambda proxy=proxy: load.wrk(proxy, 1))
        for _ in range(max(settings.rounds * case.times, case.least)):
            for name, proxy in running.items():
                if name in absent:
                    continue
                if sample := attempt(name, lambda proxy=proxy: case.drive(proxy, settings)):
                    rounds.setdefault(name, []).append(sample)
                    say(f"  {name:<18} {sample['cpu_us']:12.1f} µs/request {sample['rps']:10.1f}/s")
        for name, samples in rounds.items():
            if name not in absent:
                attempt(name, lambda samples=samples: enough_swaps(samples))
    finally:
        for proxy in running.values():
            proxy.process.__exit__()
    medians = {
        name: {**median(samples), "started_kib": started[name]}
        for name, samples in rounds.items()
        if name not in absent
    }
    return {"title": case.title, "measures": medians, "absent": absent}


def enough_swaps(samples):
    """Fails if figures of swaps were taken while there were hardly any."""
    if "swaps" not in samples[0]:
        return
    count = sum(sample["swaps"] for sample in samples)
    if count < LEAST_SWAPS:
        raise RuntimeError(f"{count:.0f} swaps while it was measured, at least {LEAST_SWAPS} are needed")


def median(samples):
    """Of each figure; what is counted is added up."""
    whole = {key: statistics.median(sample[key] for sample in samples) for key in samples[0]}
    for key in {"failed", "refused", "requests", "swaps"} & whole.keys():
        whole[key] = sum(sample[key] for sample in samples)
    return {key: round(value, 2) for key, value in whole.items()}
