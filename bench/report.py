# SPDX-License-Identifier: Apache-2.0
"""The report: one page of HTML that needs nothing else, text for the terminal, and README's part."""
import collections
import dataclasses
import pathlib

import jinja2
import markupsafe

import figures
import tables
import targets
import ways

HERE = pathlib.Path(__file__).resolve().parent


def of_part(name, records):
    return [record for record in records if record.part == name]


@dataclasses.dataclass(frozen=True)
class Section:
    """A part on the page."""

    name: str
    about: ways.Part
    fact: dict | None  # of results.json; None of a part that was not asked for
    measured: bool
    figures: list
    ratios: list
    values: list


def section(name, results, records):
    mine = of_part(name, records)
    fact = next((part for part in results["parts"] if part["name"] == name), None)
    return Section(name, ways.PARTS[name], fact, bool(mine), figures.OF_PART[name](mine),
                   tables.ratios(name, mine), tables.values(mine))


def counted(outcomes):
    """For example: 12 met, 3 missed, 1 not measured."""
    counts = collections.Counter(each.verdict for each in outcomes)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in (
        "met", "missed", "not measured") if counts[verdict])


def machine_rows(results):
    facts, versions = results["machine"], results["versions"]
    loads = [load for part in results["parts"] for load in (part["load_before"],
                                                            part["load_after"])]
    seconds = sum(part["seconds"] for part in results["parts"])
    length = "quick" if results["quick"] else "full" if results["full"] else "usual"
    return [
        ("machine", f"{facts['cpus']} CPUs ({facts['cpu']}, {facts['architecture']}), "
                    f"{facts['memory_gib']} GiB of memory, "
                    + ("virtual: its host has other guests" if facts["hypervisor"] else "not virtual")),
        ("kernel", f"{facts['kernel']}, BPF JIT {'on' if facts['bpf_jit'] else 'off'}"),
        ("load average", f"{min(loads):.1f} to {max(loads):.1f} before and after parts"
                         if loads else "unknown"),
        ("weir", f"revision {versions['revision']}, BPF by clang {versions['clang']}, "
                 f"libbpf {versions['libbpf']}"),
        ("run", f"{results['date']}, the {length} run, {seconds / 60:.1f} minutes"),
    ]


def page(results, records):
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True)
    outcomes = targets.outcomes(records)
    return environment.get_template("page.html").render(
        style=markupsafe.Markup((HERE / "page.css").read_text(encoding="utf-8")),
        safe=markupsafe.Markup, machine=machine_rows(results), counted=counted(outcomes),
        target_head=tables.TARGET_HEAD, targets=list(tables.target_rows(outcomes)),
        main=figures.main(records),
        sections=[section(name, results, records) for name in ways.PARTS])


def text(results, records):
    outcomes = targets.outcomes(records)
    lines = [f"{name}: {fact}" for name, fact in machine_rows(results)]
    for name, about in ways.PARTS.items():
        mine = of_part(name, records)
        found = [*tables.ratios(name, mine), *tables.values(mine)]
        lines += ["", f"== {about.title} ==", "", *(table.text() for table in found)]
        lines += [] if found else ["not measured"]
    failed = [f"{part['name']} failed: {part['error']}" for part in results["parts"]
              if part["error"]]
    return "\n".join([*lines, "", tables.target_table(outcomes).text(), *failed,
                      f"targets: {counted(outcomes)}"])


def main_svg(records):
    return "".join(each.svg for each in figures.main(records, alone=True))


def main_table(records):
    table = tables.main(records)
    return f"{table.caption}:\n\n{table.markdown()}"
