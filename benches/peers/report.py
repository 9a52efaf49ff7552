"""A run as a table of Markdown."""

from goals import judged

LABELS = {"lua": "nginx + LuaJIT", "envoy": "Envoy", "haproxy": "HAProxy"}
EXTRAS = ("MiB/s", "KiB/connection", "KiB, just used", "due/s", "p99 steady", "p99 × steady", "CPU × steady", "swaps")


def label(variant):
    """`envoy+3` as a reader knows it."""
    name, plus, count = variant.partition("+")
    name, _, rest = name.partition("-")
    name = LABELS.get(name, name)
    if plus:
        return f"{name}, {count} plugin{'s' if count != '1' else ''}"
    return f"{name}, {rest}" if rest else name


def number(value):
    if value is None:
        return ""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|---" * len(header) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def markdown(results):
    """The whole run."""
    machine, settings = results["machine"], results["settings"]
    parts = [
        "# This gateway beside its peers",
        f"{results['date']}, commit {results['commit']}: {machine['cpu']}, {machine['cores']} cores, "
        f"Linux {machine['kernel']}. Medians of {settings['rounds']} rounds of {settings['seconds']:g} s, of three times as "
        "many for growth, for latency at 70 % and for swaps; there a round is a steady and a swapped part. "
        "Written by `benches/peers/run.py`; benches/README.md says how it is measured.",
        ", ".join(f"{LABELS.get(name, name)} {version}" for name, version in results["versions"].items()) + ".",
        "## Goals",
        table(("goal", "limit", "measured", ""), [goal_row(goal, value) for goal, value in judged(results)]),
    ]
    for case in results["cases"].values():
        parts += [f"## {case['title']}", case_table(case["measures"])]
        parts += [f"Not measured: {label(name)}. {first_line(why)}" for name, why in case["absent"].items()]
    return "\n\n".join(parts) + "\n"


SUMMARY = ("plain", "plugins-3", "plugins-4", "h2", "tls-new", "body-64KiB", "aggregate")


def summary(results):
    """A table for the front page: what a request costs the gateway, and what it costs the others."""
    machine = results["machine"]
    lines = []
    for name in SUMMARY:
        case = results["cases"][name]
        ours = next(m for variant, m in reversed(case["measures"].items()) if variant.startswith("gateway"))
        others = {variant: m for variant, m in case["measures"].items() if not variant.startswith("gateway")}
        against = (
            f"{label(variant.partition('+')[0])} {number(m['cpu_us'])} ({ours['cpu_us'] / m['cpu_us']:.2f} ×)"
            for variant, m in others.items()
        )
        lines.append((case["title"], number(ours["cpu_us"]), ", ".join(against)))
    where = f"{machine['cpu']}, one worker on one core, {results['date']}, commit {results['commit']}"
    return f"{table(('CPU µs per request', 'gateway', 'others'), lines)}\n\n{where}.\n"


def first_line(why):
    return why.strip().splitlines()[0]


def goal_row(goal, value):
    sign = "≥" if goal.at_least else "≤"
    return goal.text, f"{sign} {goal.limit:g}", f"{value:.2f}", "met" if goal.met(value) else "missed"


def case_table(measures):
    extras = [name for name in EXTRAS if any(name in measure for measure in measures.values())]
    header = ("proxy", "CPU µs per request", "against the first", "of it in the kernel", "req/s", "p50 µs", "p99 µs", "p99.9 µs")
    return table([*header, "MiB", "lost", *extras], rows(measures, extras))


def rows(measures, extras):
    first = next(iter(measures.values()), None)
    for name, measure in measures.items():
        yield [
            label(name),
            number(measure["cpu_us"]),
            f"{measure['cpu_us'] / first['cpu_us']:.2f} ×" if first["cpu_us"] else "",
            number(measure["kernel_us"]),
            number(measure["rps"]),
            *(number(measure.get(key)) for key in ("p50_us", "p99_us", "p999_us")),
            number(measure["resident_kib"] / 1024),
            f"{measure['failed'] + measure['refused']:.0f}",
            *(number(measure.get(key)) for key in extras),
        ]
