#!/usr/bin/env python3
"""Builds and measures this gateway beside nginx, nginx + LuaJIT, HAProxy and Envoy.

    run.py run [--quick] [--only CASE]...   measure; results go to target/peers
    run.py compare                          what the last run shows to be worse than the last committed result
    run.py publish                          put the last run beside this file and into README.md, to be committed
"""

import argparse
import datetime
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import build
import chart
import compare
import machine
import proxies
import report
import sizing
from cases import CASES, Settings, measure

FILES = {
    "results.json": lambda results: json.dumps(results, indent=1) + "\n",
    "results.md": report.markdown,
    "results.svg": chart.svg,
    "SIZING.md": sizing.markdown,
}
# Of the table in README.md.
SUMMARY_BEGINS = "<!-- written by benches/peers/run.py publish -->"
SUMMARY_ENDS = "<!-- to here -->"
QUICK = {"rounds": 1, "seconds": 1}
STANDARD = {"rounds": 3, "seconds": 3}


def main():
    arguments = parse()
    # So that what was started is ended, whoever ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return arguments.command(arguments)
    except machine.Absent as absent:
        print(f"not here: {absent}", file=sys.stderr)
        return 69


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="build, measure, and write the results to target/peers")
    run.add_argument("--quick", action="store_true", help="one round of a second: shows that all works, no costs")
    names = [case.name for case in CASES]
    run.add_argument("--only", action="append", choices=names, help="this case (may be repeated)")
    run.add_argument("--rounds", type=int)
    run.add_argument("--seconds", type=float, help="of each measurement")
    run.add_argument("--no-build", action="store_true", help="measure what was built before")
    run.set_defaults(command=run_all)
    commands.add_parser("compare", help="exits 1 if something got worse").set_defaults(command=compare_last)
    commands.add_parser("publish", help="put the last run here and into README.md").set_defaults(command=publish)
    return parser.parse_args()


def run_all(arguments):
    defaults = QUICK if arguments.quick else STANDARD
    rounds = arguments.rounds or defaults["rounds"]
    seconds = arguments.seconds or defaults["seconds"]
    build.OUT.mkdir(parents=True, exist_ok=True)
    build.building = not arguments.no_build
    say("building" if build.building else "not building")
    programs = proxies.programs()
    settings = Settings(rounds, seconds, build.open_loop())
    machine.prepare()
    os.sched_setaffinity(0, {machine.LOAD_CORE})
    began = time.monotonic()
    cases = [case for case in CASES if not arguments.only or case.name in arguments.only]
    results = {
        "date": datetime.date.today().isoformat(),
        "commit": build.commit(),
        "machine": machine.describe(),
        "versions": versions(programs),
        "settings": {"rounds": rounds, "seconds": seconds},
        "cases": measure_all(cases, programs, settings),
    }
    for name, write in FILES.items():
        (build.OUT / name).write_text(write(results))
    say(f"{time.monotonic() - began:.0f} s; see {os.path.relpath(build.OUT)}/results.md")
    failed = failures(results)
    for words in failed:
        print(f"failed: {words}", file=sys.stderr)
    return int(bool(failed))


def failures(results):
    """What of the gateway could not be measured, and why."""
    return [
        f"{case}, {name}: {report.first_line(why)}"
        for case, measured in results["cases"].items()
        for name, why in measured["absent"].items()
        if name.startswith("gateway")
    ]


def measure_all(cases, programs, settings):
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        work = Path(name)
        # An nginx started by root serves files as another user.
        work.chmod(0o755)
        build.certificate(work)
        origin, port, h2 = proxies.start_origin(work)
        with origin:
            bench = proxies.Bench(work, port, h2, programs)
            measured = {}
            for case in cases:
                say(f"{case.name}: {case.title}")
                measured[case.name] = measure(case, bench, settings, say)
            return measured


def versions(programs):
    ask = {"nginx": "-v", "haproxy": "-v", "envoy": "--version", "gateway": "--version"}
    found = {name: programs[name] for name in ask if not isinstance(programs[name], machine.Absent)}
    return {name: build.version(program, ask[name]) for name, program in found.items()}


def last_run():
    path = build.OUT / "results.json"
    if not path.exists():
        raise machine.Absent(f"a run in {os.path.relpath(path)}: `run.py run` makes one")
    return json.loads(path.read_text())


def compare_last(_arguments):
    words, worse = compare.text(build.committed(build.HERE / "results.json"), last_run())
    print(words)
    return int(worse)


def publish(_arguments):
    results = last_run()
    missing = [case.name for case in CASES if case.name not in results["cases"]]
    if missing:
        raise machine.Absent(f"a run of every case; the last one lacks {', '.join(missing)}")
    if failed := failures(results):
        raise machine.Absent(f"a run without failures; in the last one {'; '.join(failed)}")
    for name, write in FILES.items():
        (build.HERE / name).write_text(write(results))
    readme = build.ROOT / "README.md"
    before, mark, rest = readme.read_text().partition(SUMMARY_BEGINS)
    _, end, after = rest.partition(SUMMARY_ENDS)
    if not (mark and end):
        raise machine.Absent(f"the marks around the table in {readme.name}")
    readme.write_text(f"{before}{mark}\n{report.summary(results)}{end}{after}")
    return 0


def say(words):
    print(words, flush=True)


if __name__ == "__main__":
    sys.exit(main())
