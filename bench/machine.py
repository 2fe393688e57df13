# SPDX-License-Identifier: Apache-2.0
"""What the numbers depend on: the kind of machine, and the versions of what was measured."""
import datetime
import os
import pathlib
import platform
import re
import subprocess

SOURCE = pathlib.Path(__file__).resolve().parents[1]


def read(path):
    try:
        return pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def asked(*command):
    """Its first line, or nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, cwd=SOURCE)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.partition("\n")[0].strip() if done.returncode == 0 else ""


def first(pattern, text):
    found = re.search(pattern, text, re.MULTILINE)
    return found.group(1).strip() if found else "unknown"


def facts():
    """None of them names this machine."""
    cpu = read("/proc/cpuinfo")
    jit = read("/proc/sys/net/core/bpf_jit_enable").strip()
    kib = first(r"^MemTotal:\s+(\d+)", read("/proc/meminfo"))
    return {"kernel": platform.release().split("-")[0], "architecture": platform.machine(),
            "cpu": first(r"^model name\s*:(.*)", cpu), "cpus": os.cpu_count(),
            "memory_gib": round(int(kib) / 2**20, 1) if kib.isdigit() else None,
            "hypervisor": re.search(r"^flags.*\bhypervisor\b", cpu, re.MULTILINE) is not None,
            "bpf_jit": jit not in ("", "0")}


def compiler(programs):
    """The clang that made a BPF object says so in its debug information."""
    try:
        data = pathlib.Path(programs or "").read_bytes()
    except OSError:
        return "unknown"
    found = re.search(rb"clang version ([0-9.]+)", data)
    return found.group(1).decode() if found else "unknown"


def versions(options):
    return {"revision": asked("git", "describe", "--always", "--dirty", "--abbrev=12") or "unknown",
            "clang": compiler(options.programs),
            "libbpf": asked("pkg-config", "--modversion", "libbpf") or "unknown"}


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def load():
    return round(os.getloadavg()[0], 2)
