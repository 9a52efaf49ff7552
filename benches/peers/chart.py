"""A run as an SVG: CPU time per request, one group of bars for each case that counts requests alike."""

from xml.sax.saxutils import escape

from report import label, number

SHOWN = ("plain", "plugins-1", "plugins-3", "plugins-4", "h2", "aggregate")
COLOURS = {"nginx": "#6b8e6b", "haproxy": "#7d8fb3", "lua": "#8a9a5b", "envoy": "#b08bb0", "gateway": "#d2691e"}
WIDTH, LEFT, BAR, GAP, HEAD = 760, 210, 18, 6, 30
VALUE_ROOM = 70
STYLE = (
    "text { font: 13px sans-serif; fill: #24292f } "
    ".case { font-weight: bold } .note { font-size: 11px; fill: #57606a } "
    "@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .note { fill: #9198a1 } }"
)


def svg(results):
    shown = [case for name in SHOWN if (case := results["cases"].get(name)) and case["measures"]]
    most = max((m["cpu_us"] for case in shown for m in case["measures"].values()), default=1)
    scale = (WIDTH - LEFT - VALUE_ROOM) / most
    parts, y = [text(10, 22, "CPU µs per request, one worker; shorter is better", "case")], 34
    for case in shown:
        parts.append(text(10, y + 20, case["title"], "case"))
        y += HEAD
        for name, measure in case["measures"].items():
            parts.append(bar(y, name, measure["cpu_us"], scale))
            y += BAR + GAP
    note = f"{results['date']}, {results['machine']['cpu']}; written by benches/peers/run.py"
    parts.append(text(10, y + 20, note, "note"))
    height = y + 32
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    title = "<title>CPU time per request of this gateway and its peers</title>"
    return "\n".join([head, title, f"<style>{STYLE}</style>", *parts, "</svg>"]) + "\n"


def text(x, y, words, kind=None, anchor=None):
    extra = (f' class="{kind}"' if kind else "") + (f' text-anchor="{anchor}"' if anchor else "")
    return f'<text x="{x:.1f}" y="{y:.1f}"{extra}>{escape(words)}</text>'


def bar(y, name, value, scale):
    colour = COLOURS[name.partition("+")[0].partition("-")[0]]
    width = max(1, value * scale)
    return "\n".join([
        text(LEFT - 8, y + 13, label(name), anchor="end"),
        f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2" fill="{colour}"/>',
        text(LEFT + width + 6, y + 13, number(value)),
    ])  # fmt: skip
