# SPDX-License-Identifier: Apache-2.0
"""Lets the bench use the tests' cluster: `import testcluster`, then `from cluster import ...`."""
import pathlib
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(SOURCE / "tests/system"))
