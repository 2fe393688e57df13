#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Measures weir beside others, one part after another (docs/PERFORMANCE.md), and writes the raw numbers
to results.json and a page to index.html. Prints the tables and which targets are met.
"""
import argparse
import importlib
import json
import os
import pathlib
import sys
import time
import traceback

import machine
import record

SOURCE = pathlib.Path(__file__).resolve().parents[1]
BUILD = SOURCE / "build/release"
PARTS = ("packet", "node", "connection", "control")
FORM = 1  # of results.json


def arguments(words=None):
    parser = argparse.ArgumentParser(description=__doc__)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--quick", action="store_true", help="a fifth of the time")
    length.add_argument("--full", action="store_true", help="what takes minutes to set up, too")
    parser.add_argument("--parts", type=named_parts, metavar="NAME,...",
                        help=f"of {','.join(PARTS)}; default: all")
    parser.add_argument("--out", type=pathlib.Path, help="directory; default: bench/report")
    parser.add_argument("--weir", default=BUILD / "userspace/cli/weir")
    parser.add_argument("--generator", default=BUILD / "bench/weir_bench_generator")
    parser.add_argument("--programs", default=BUILD / "bench/weir_bench.bpf.o",
                        help="BPF programs of the bench")
    parser.add_argument("--packet-bench", default=BUILD / "bench/weir_bench_packet")
    parser.add_argument("--connector", default=BUILD / "bench/weir_bench_connector")
    parser.add_argument("--from", dest="results", type=pathlib.Path, metavar="RESULTS.json",
                        help="measure nothing, write the report of these results again")
    parser.add_argument("--readme", type=pathlib.Path, metavar="DIR",
                        help="write the main plot to DIR/bench-main.svg, print its table")
    options = parser.parse_args(words)
    if options.out is None:
        options.out = options.results.parent if options.results else SOURCE / "bench/report"
    return options


def named_parts(text):
    names = text.split(",")
    unknown = sorted(set(names) - set(PARTS))
    if unknown:
        raise argparse.ArgumentTypeError(f"no part {', '.join(unknown)}")
    return names


def say(text):
    print(f"bench: {text} (load {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)


def modules(asked):
    """{name: module}; a part that does not exist is no error unless it was asked for."""
    found = {}
    for name in asked or PARTS:
        try:
            found[name] = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name or asked:
                raise
            say(f"{name}: there is no such part yet")
    return found


def measured(name, module, options):
    """(facts of the part, its records as data); what goes wrong in one part ends it alone."""
    say(name)
    begin, fact = time.monotonic(), {"name": name, "load_before": machine.load(), "error": None}
    records = []
    try:
        records = [each.json() for each in module.measure(options, say)]
    except (Exception, SystemExit) as error:  # a part may end itself by sys.exit()
        traceback.print_exc()
        fact["error"] = f"{type(error).__name__}: {error}"
        say(f"{name} failed: {fact['error']}")
    fact |= {"seconds": round(time.monotonic() - begin, 1), "load_after": machine.load()}
    return fact, records


def measure(options):
    found = modules(options.parts)
    results = {"form": FORM, "date": machine.now(), "machine": machine.facts(),
               "versions": machine.versions(options), "quick": options.quick,
               "full": options.full, "parts": [], "records": []}
    for name, module in found.items():
        fact, records = measured(name, module, options)
        results["parts"].append(fact)
        results["records"] += records
        save(results, options.out)  # what was measured stays, whatever comes after
    return results


def save(results, directory):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def load(path):
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"bench: {path}: {error}")
    if not isinstance(results, dict) or results.get("form") != FORM:
        sys.exit(f"bench: {path}: not results of this bench")
    return results


def write_report(results, options):
    import report  # needs more than measuring does
    records = [record.Record(**each) for each in results["records"]]
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "index.html").write_text(report.page(results, records), encoding="utf-8")
    if options.readme:
        (options.readme / "bench-main.svg").write_text(report.main_svg(records), encoding="utf-8")
        print(report.main_table(records))
    else:
        print(report.text(results, records))
    say(f"see {options.out / 'index.html'}")


def main(words=None):
    options = arguments(words)
    if not options.results and os.geteuid() != 0:
        sys.exit("bench: needs root, for network namespaces and BPF")
    results = load(options.results) if options.results else measure(options)
    write_report(results, options)
    if options.results:
        return 0
    return 1 if not results["parts"] or any(part["error"] for part in results["parts"]) else 0


if __name__ == "__main__":
    sys.exit(main())
