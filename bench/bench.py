# SPDX-License-Identifier: Apache-2.0
"""
Measures weir on a cluster of network namespaces; see docs/PERFORMANCE.md. Needs root, a release
build of weir, and the generator and BPF object of bench/. Prints tables, writes results.json.
"""
import argparse
import json
import os
import pathlib
import platform
import sys

import agentside
import cell
import rate
import report


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weir", required=True)
    parser.add_argument("--generator", required=True)
    parser.add_argument("--programs", required=True, help="weir_bench.bpf.o")
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--frames", type=int, default=200_000, help="of one burst")
    parser.add_argument("--times", type=int, default=20, help="publications")
    parser.add_argument("--starts", type=int, default=5, help="cold starts")
    return parser.parse_args()


def machine():
    return {"kernel": platform.release().split("-")[0], "cpus": os.cpu_count(),
            "load_average": os.getloadavg()[0], "jit": "bpf_jit_enable=" + pathlib.Path(
                "/proc/sys/net/core/bpf_jit_enable").read_text(encoding="ascii").strip()}


def say(text):
    print(f"bench: {text} (load {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)


def measure(running, options):
    for each in running.agents.values():
        each.start()
    running.wait_endpoints_of(cell.BACKEND)
    results = {"machine": machine(), "frames": options.frames, "flows": cell.FLOWS}
    results["programs"] = agentside.programs(running, cell.XDP)
    results["memory"] = agentside.memory(running, cell.XDP)
    say("establishing flows")
    for way in cell.BUILT:
        if way.served:
            running.establish(way)
    rate.warm_up(running)
    say("packet rates")
    before = rate.counted(running)
    results["rates"] = rate.rates(running, options.rounds, options.frames)
    results["counters"] = rate.taken_by(running, before)
    say("time in programs")
    results["program_ns"] = rate.program_times(running, options.rounds, options.frames)
    say("publication")
    results["publication_s"] = agentside.publication(running, cell.XDP, options.times)
    say("cold start")
    results["cold_start_s"] = agentside.cold_start(running, cell.XDP, options.starts)
    return results


def main():
    options = arguments()
    if os.geteuid() != 0:
        sys.exit("bench: needs root, for network namespaces and BPF")
    with cell.Cell(options.weir, options.generator, options.programs) as running:
        results = measure(running, options)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(report.text(results))


if __name__ == "__main__":
    main()
