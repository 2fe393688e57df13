# SPDX-License-Identifier: Apache-2.0
"""Tables of the results: minimum, median and the spread from the 10th to the 90th percentile."""
import statistics

import cell


def quantile(values, part):
    ordered = sorted(values)
    return ordered[round(part * (len(ordered) - 1))]


def summary(values, scale=1.0):
    return [f"{scale * f:.1f}" for f in (min(values), statistics.median(values),
                                         quantile(values, 0.1), quantile(values, 0.9))]


def table(title, head, rows):
    rows = [[str(item) for item in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join([row[0].ljust(widths[0]), *(item.rjust(width) for item, width in
                                                   zip(row[1:], widths[1:]))]) for row in rows]
    return "\n".join([title, *("  " + line for line in lines), ""])


def rates(results):
    ways = results["rates"]
    rows = []
    for flows in ways["plain"]:
        floor = statistics.median(burst["ns"] for burst in ways["floor"][flows])
        base = statistics.median(burst["ns"] for burst in ways["plain"][flows])
        for way in cell.WAYS:
            bursts = ways[way.key][flows]
            ns = [burst["ns"] for burst in bursts]
            median = statistics.median(ns)
            net = median - floor
            rows.append([way.title, flows, *summary(ns), f"{1e3 / median:.2f}",
                         f"{base / median:.2f}",
                         f"{(base - floor) / net:.2f}" if way is not cell.END else "-"])
    return table("Through a node, 60-byte UDP: ns a packet, and Mpps at the median", [
        "way", "flows", "min", "median", "p10", "p90", "Mpps", "x plain", "x plain, net"], rows)


PAIRS = (("xdp", "plain"), ("xdp-wire", "plain"), ("tc", "plain"), ("xdp", "tc"),
         ("xdp-wire", "tc"), ("xdp", "nft"), ("tc", "nft"))


def paired(results):
    """Of each round by itself, so that what disturbs a whole round does not count."""
    ways, rows = results["rates"], []
    for flows in ways["plain"]:
        for over, under in PAIRS:
            ratios = [a["pps"] / b["pps"] for a, b in zip(ways[over][flows], ways[under][flows])]
            rows.append([f"{over} / {under}", flows, *(f"{f:.2f}" for f in (
                min(ratios), statistics.median(ratios), quantile(ratios, 0.1), quantile(ratios, 0.9)))])
    return table("Ratio of packet rates, round by round",
                 ["ratio", "flows", "min", "median", "p10", "p90"], rows)


def counters(results):
    rows = [[key, name, count] for key, counts in results["counters"].items()
            for name, count in sorted(counts.items(), key=lambda item: -item[1])]
    return table("Counted by weir meanwhile", ["way", "counter", "packets"], rows)


EMPTY_OF = {"weir_xdp": "empty XDP", "weir_up_in": "empty tc", "weir_up_out": "empty tc"}


def program_times(results):
    times, rows = results["program_ns"], []
    for label, by_flows in times.items():
        for flows, values in by_flows.items():
            empty = times.get(EMPTY_OF.get(label))
            net = min(values) - min(empty[flows]) if empty else None
            middle = statistics.median(values) - statistics.median(empty[flows]) if empty else None
            rows.append([label, flows, *summary(values), "-" if net is None else f"{net:.1f}",
                         "-" if middle is None else f"{middle:.1f}"])
    return table("In a program, hit path: ns a run by kernel.bpf_stats_enabled", [
        "program", "flows", "min", "median", "p10", "p90", "net, min", "net, median"], rows)


def programs(results):
    rows = [[name, fact["xlated_bytes"], fact["xlated_bytes"] // 8, fact["jited_bytes"],
             fact["verified_insns"]] for name, fact in results["programs"].items()]
    return table("Programs", ["program", "xlated bytes", "instructions", "JITed bytes",
                              "verified instructions"], rows)


def agent(results):
    rows = [["file write to publication", *summary(results["publication_s"], 1e3)],
            ["cold start to service", *summary(results["cold_start_s"], 1e3)]]
    return table("Agent: ms", ["what", "min", "median", "p10", "p90"], rows)


def memory(results):
    sizes = sorted(results["memory"].items(), key=lambda item: -item[1])
    rows = [[name, f"{size / 2**20:.2f}"] for name, size in sizes]
    total = sum(results["memory"].values())
    return table("Maps at default sizes, MiB", ["map", "MiB"], [*rows, ["all", f"{total / 2**20:.2f}"]])


def text(results):
    facts = results["machine"]
    head = (f"kernel {facts['kernel']}, {facts['cpus']} CPUs, load average "
            f"{facts['load_average']:.1f}; {results['frames']} frames a burst\n")
    return "\n".join([head, *(part(results) for part in (
        rates, paired, counters, program_times, programs, agent, memory))])
