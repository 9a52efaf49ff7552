"""What got worse since the last committed result.

Machines and their moods differ, so times and rates are not compared as they are: in each case the gateway's figure is
divided by that of the first peer of the same run. Where a case has no peer, and for memory, the figure itself counts.
"""

from dataclasses import dataclass

# Figure, whether more is worse, and the rise that noise explains.
FIGURES = (
    ("cpu_us", True, 0.05),
    ("rps", False, 0.10),
    ("p50_us", True, 0.15),
    ("p99_us", True, 0.25),
    ("p999_us", True, 0.50),
    ("MiB/s", False, 0.10),
)
OF_ITSELF = (("resident_kib", True, 0.10), ("started_kib", True, 0.10), ("KiB/connection", True, 0.10))


@dataclass(frozen=True)
class Change:
    case: str
    variant: str
    figure: str
    before: float
    now: float
    # By how much it is worse, as a share; better is negative.
    worse: float
    allowed: float

    @property
    def is_worse(self):
        return self.worse > self.allowed


def changes(old, new):
    """Every figure of the gateway that both runs have."""
    for name, case in new["cases"].items():
        before = old["cases"].get(name, {"measures": {}})["measures"]
        now = case["measures"]
        for variant in now:
            if variant.startswith("gateway") and variant in before:
                yield from of_variant(name, variant, before, now)


def of_variant(case, variant, before, now):
    # Where the gateway is alone, its first variant is the measure of the others.
    peers = [name for name in now if name in before]
    peer = next((name for name in peers if not name.startswith("gateway")), peers[0])
    for figures, peer in ((FIGURES, peer), (OF_ITSELF, None)):
        for figure, more_is_worse, allowed in figures:
            then, here = (relative(run, variant, peer, figure) for run in (before, now))
            if not then or not here:
                continue
            worse = here / then - 1 if more_is_worse else then / here - 1
            yield Change(case, variant, figure, then, here, worse, allowed)
    lost = [run[variant]["failed"] + run[variant]["refused"] for run in (before, now)]
    if lost[1] > 0:
        yield Change(case, variant, "lost", *lost, worse=lost[1] - lost[0], allowed=0)


def relative(run, variant, peer, figure):
    value = run[variant].get(figure)
    if value is None or peer is None:
        return value
    other = run[peer].get(figure)
    return value / other if other else None


def text(old, new):
    """What got worse, and how many figures did not; and whether any did."""
    found = list(changes(old, new))
    worse = sorted((change for change in found if change.is_worse), key=lambda change: -change.worse)
    runs = [f"{run['date']} ({run['commit']})" for run in (new, old)]
    lines = [f"{' against '.join(runs)}, relative to the first peer of each case:"]
    for change in worse:
        lines.append(
            f"  WORSE {change.case:<12} {change.variant:<18} {change.figure:<15} "
            f"{change.before:9.3f} -> {change.now:9.3f}  {change.worse:+.0%} (allowed {change.allowed:+.0%})"
        )
    lines.append(f"{len(worse)} of {len(found)} figures got worse")
    return "\n".join(lines), bool(worse)
