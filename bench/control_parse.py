# SPDX-License-Identifier: Apache-2.0
"""How fast manifests are read, beside the bare parsers of the libraries over the same bytes."""
import json
import pathlib
import subprocess
import tempfile

import control_files
from record import Record

BARE = {"json": "RapidJSON, bare", "yaml": "libyaml, bare"}
WRITE = {"json": control_files.write_json, "yaml": control_files.write_yaml}
SIZE = {"json": control_files.Size(5_000, 50), "yaml": control_files.Size(1_000, 50)}
SMALL = {"json": control_files.Size(1_000, 50), "yaml": control_files.Size(200, 50)}


def program(options):
    """weir_bench_parse is built beside the generator."""
    given = getattr(options, "parser", None)
    return given or pathlib.Path(options.generator).with_name("weir_bench_parse")


def measure(options, quick):
    records = []
    with tempfile.TemporaryDirectory(prefix="weirk-parse-") as directory:
        for form, bare in BARE.items():
            path = pathlib.Path(directory) / f"all.{form}"
            WRITE[form](path, (SMALL if quick else SIZE)[form])
            told = json.loads(subprocess.run(
                [program(options), str(path), "3" if quick else "5"], check=True, timeout=120,
                capture_output=True, text=True).stdout)
            case = {"form": form, "bytes": told["bytes"]}
            for way, name in (("weir", "weir"), ("bare", bare)):
                rates = [told["bytes"] * 1e3 / ns for ns in told[way]]  # bytes/ns -> MB/s
                records.append(Record("control", name, "parsing", "MB/s", case, rates))
    return records
