"""Processes on their cores, and what the kernel says they took."""

import os
import random
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path

PROXY_CORE = 0
LOAD_CORE = 1
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# Below the ports that the kernel gives to clients, which would take one between its choice and its use.
PORTS = range(18000, 32000)


class Absent(Exception):
    """Something to measure with, or to measure, cannot be had on this machine; says what."""


def prepare():
    """Checks the cores, and allows as many open files as the kernel lets us have."""
    if not {PROXY_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        raise Absent(f"cores {PROXY_CORE} and {LOAD_CORE}: this machine has {os.sched_getaffinity(0)}")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port():
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def pin(*cores):
    """For `preexec_fn`: the child and its children stay on these cores."""
    return lambda: os.sched_setaffinity(0, cores)


class Process:
    """A process with its children, ended by its own id."""

    def __init__(self, name, command, cores, work, environment=None):
        self.name = name
        self.log = Path(work) / f"{name}.log"
        with open(self.log, "wb") as log:
            self.popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=work,
                env={**os.environ, **(environment or {})},
                preexec_fn=pin(*cores),
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.popen.terminate()
        try:
            self.popen.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()

    def pids(self):
        found, queue = [], [self.popen.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                queue.extend(int(child) for child in read(task).split())
        return found

    def cpu_seconds(self):
        """User and system time of all, those that have ended included."""
        user = system = 0
        for pid in self.pids():
            # The name in parentheses may hold spaces; what follows it starts at field 3.
            fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
            if fields:
                # utime, stime, cutime, cstime
                ticks = [int(field) for field in fields[11:15]]
                user += ticks[0] + ticks[2]
                system += ticks[1] + ticks[3]
        return user / TICKS_PER_SECOND, system / TICKS_PER_SECOND

    def resident_kib(self):
        """What all hold in memory now; a page that several share counts once."""
        return self._sum("smaps_rollup", "Pss:")

    def peak_kib(self):
        """The most that each ever held, added up."""
        return self._sum("status", "VmHWM:")

    def _sum(self, file, key):
        total = 0
        for pid in self.pids():
            for line in read(f"/proc/{pid}/{file}").splitlines():
                if line.startswith(key):
                    total += int(line.split()[1])
        return total

    def signal(self, number):
        self.popen.send_signal(number)

    def reload(self):
        self.signal(signal.SIGHUP)

    def wait_until(self, ready, seconds=20):
        """Polls `ready`, which may raise OSError until it is; fails with the end of the log."""
        end = time.monotonic() + seconds
        why = "never answered"
        while time.monotonic() < end and self.popen.poll() is None:
            try:
                why = ready()
                if why is None:
                    return
            except OSError as error:
                why = str(error)
            time.sleep(0.05)
        tail = self.log.read_text(errors="replace")[-1500:]
        raise RuntimeError(f"{self.name} is not ready after {seconds} s: {why}\n{tail}")


def read(path):
    """A file of /proc, or nothing if its process has ended."""
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def describe():
    cpu = next((l.split(":")[1].strip() for l in read("/proc/cpuinfo").splitlines() if l.startswith("model name")), "")
    return {"cpu": cpu, "cores": os.cpu_count(), "kernel": os.uname().release}
