"""The load generators. Each gives a sample: requests, seconds, failed, refused, and latencies where it has them."""

import json
import re
import socket
import ssl
import subprocess
import time

import build
from machine import LOAD_CORE, pin
from proxies import HEADERS

CONNECTIONS = 32


def output(command, **options):
    finished = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=pin(LOAD_CORE),
        **options,
    )
    if finished.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {finished.returncode}: {finished.stderr[-500:]}")
    return finished.stdout


def fields():
    return [part for name, value in HEADERS.items() for part in ("-H", f"{name}: {value}")]


def wrk(running, seconds, path=None):
    """As many requests as `CONNECTIONS` connections get answered, each one after the other."""
    url = f"http://{running.address()}{path or running.variant.path}"
    script = build.HERE / "report.lua"
    # wrk knows whole seconds and larger units only.
    command = [build.tool("wrk", "wrk"), "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s"]
    said = output([*command, "-s", script, *fields(), url])
    return json.loads(said.splitlines()[-1])


def h2load(running, seconds, streams=100):
    """One connection of HTTP/2 without TLS, on which so many streams are open at any time."""
    log = running.work / "h2load.tsv"
    log.unlink(missing_ok=True)
    command = [build.tool("h2load", "nghttp2-client"), "-c1", f"-m{streams}", "-D", f"{round(seconds * 1000)}ms"]
    url = f"http://{running.address('h2')}{running.variant.path}"
    said = output([*command, f"--log-file={log}", *fields(), url])
    counts = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", said)
    rows = [line.split("\t") for line in log.read_text().splitlines()]
    statuses = [int(row[1]) for row in rows]
    latencies = sorted(int(row[2]) for row in rows if row[1] == "200")
    return {
        "requests": int(counts[1]),
        "seconds": seconds,
        "failed": sum(int(counts[group]) for group in (3, 4)),
        "refused": sum(1 for status in statuses if status > 0 and status != 200),
        **percentiles(latencies),
    }


def percentiles(latencies):
    """Of sorted microseconds."""
    if not latencies:
        return {}
    last = len(latencies) - 1
    return {f"p{name}_us": latencies[min(last, int(len(latencies) * share))] for name, share in PERCENTILES}


PERCENTILES = (("50", 0.5), ("99", 0.99), ("999", 0.999))


def handshakes(running, seconds, resumed, clients=4):
    """Connections of TLS 1.3 one after the other by each client, each with one request of HTTP/1.0."""
    expect_answer(running)
    command = [
        build.tool("openssl", "openssl"), "s_time", "-connect", running.address("tls"), "-www", running.variant.path,
        "-reuse" if resumed else "-new", "-tls1_3", "-time", max(1, round(seconds)),
    ]  # fmt: skip
    began = time.monotonic()
    started = [
        subprocess.Popen(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=pin(LOAD_CORE),
        )
        for _ in range(clients)
    ]
    sample = {"requests": 0, "failed": 0, "refused": 0}
    for client in started:
        said, error = client.communicate(timeout=seconds + 30)
        real = re.search(r"(\d+) connections in (\d+) real seconds, (\d+) bytes read per connection", said)
        if client.returncode != 0 or real is None:
            raise RuntimeError(f"openssl s_time ended with {client.returncode}: {error[-500:]}")
        count = int(real[1])
        # One mark for each: `r` resumed, `*` not.
        marks = said[: real.start()]
        reused = max((run.count("r") for run in re.findall(r"[r*]{2,}", marks)), default=0)
        if resumed and reused < 0.95 * count:
            sample["refused"] += count - reused
        sample["requests"] += count
    if sample["requests"] == 0:
        raise RuntimeError("openssl s_time made no connection")
    sample["seconds"] = time.monotonic() - began
    return sample


def expect_answer(running):
    """That what `openssl s_time` asks, which does not look at the answer, is answered with 200."""
    context = ssl.create_default_context(cafile=running.work / "cert.pem")
    with (
        socket.create_connection(("127.0.0.1", running.ports["tls"]), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall(f"GET {running.variant.path} HTTP/1.0\r\n\r\n".encode())
        line = connection.recv(4096).split(b"\r\n")[0]
    if b" 200 " not in line:
        raise RuntimeError(f"{running.variant.name} answers HTTP/1.0 over TLS with {line!r}")


def transfers(running, count, path):
    """A large body, one after the other."""
    command = [build.tool("curl", "curl"), "-sS", "--fail", "-o", "/dev/null", "-w", "%{size_download} %{time_total}"]
    size, took = 0, 0.0
    for _ in range(count):
        said = output([*command, f"http://{running.address()}{path}"]).split()
        size += int(said[0])
        took += float(said[1])
    return {"requests": count, "seconds": took, "failed": 0, "refused": 0, "MiB/s": size / took / (1 << 20)}


def open_loop_command(program, running, rate, seconds):
    command = [program, running.address(), running.variant.path, round(rate), CONNECTIONS, seconds]
    return [*command, *(f"{name}: {value}" for name, value in HEADERS.items())]


def open_loop(program, running, rate, seconds):
    """Requests at this rate, each timed from when it was due."""
    return json.loads(output(open_loop_command(program, running, rate, seconds)))


class Idle:
    """Connections that have had one answer each and then wait."""

    def __init__(self, running, count):
        self.running = running
        self.count = count
        self.sockets = []

    def __enter__(self):
        request = [f"GET {self.running.variant.path} HTTP/1.1", f"Host: {self.running.address()}"]
        request += [f"{name}: {value}" for name, value in HEADERS.items()]
        request = "\r\n".join([*request, "", ""]).encode()
        for _ in range(self.count):
            connection = socket.create_connection(("127.0.0.1", self.running.ports["h1"]), timeout=5)
            self.sockets.append(connection)
            connection.sendall(request)
            if not connection.recv(65536).startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"{self.running.variant.name} did not serve connection {len(self.sockets)}")
        return self

    def open(self):
        """How many the proxy has not closed meanwhile."""
        alive = 0
        for connection in self.sockets:
            connection.setblocking(False)
            try:
                alive += bool(connection.recv(1))
            except BlockingIOError:
                alive += 1
            except OSError:
                pass
        return alive

    def __exit__(self, *_):
        for connection in self.sockets:
            connection.close()
