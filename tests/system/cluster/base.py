# SPDX-License-Identifier: Apache-2.0
"""What the test modules have in common: one cluster a class, of the variant that ctest names."""
import os
import sys
import unittest

from . import agent, cluster, conformance, plan

SKIPPED = 77  # SKIP_RETURN_CODE in tests/system/CMakeLists.txt


def require_root():
    if os.geteuid() != 0:
        print("skipped: needs root for network namespaces and BPF", file=sys.stderr)
        sys.exit(SKIPPED)


def variant_from_environment(default="routed-routes-xdp-native"):
    return plan.Variant.parse(os.environ.get("WEIR_VARIANT", default))


class ClusterCase(unittest.TestCase):
    """A failed test prints what both nodes counted; a class that ends in quiet asserts no drops."""

    weir = True
    default_variant = "routed-routes-xdp-native"
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        variant = variant_from_environment(cls.default_variant)
        cls.cluster = cluster.Cluster(variant)
        if cls.weir and not cls.cluster.binary:
            raise RuntimeError("no weir binary: build a preset, or name one in WEIR_BIN")
        cls.addClassCleanup(cls.cluster.down)
        cls.cluster.up()
        cls.prepare()

    @classmethod
    def prepare(cls):
        """Manifests and agents, for classes that want the same for all their tests."""

    def run(self, result=None):
        recorder = conformance.Recorder(result)
        super().run(result)
        recorder.write(self)
        if self.weir and recorder.failed():
            self.report()

    def report(self):
        print(f"\n--- {self.id()}: {self.cluster.variant.name}; dropped: {self.cluster.dropped()}",
              file=sys.stderr)
        for each in self.cluster.agents.values():
            print(f"--- {each.node.name}: log\n{tail(each.log())}", file=sys.stderr)
            for command in (("drops",), ("service", "list"), ("backend", "list"), ("flow", "list")):
                shown = each.weir(*command, check=False)
                print(f"--- {each.node.name}: weir {' '.join(command)}\n{tail(shown)}", file=sys.stderr)


def tail(text, lines=40):
    return "\n".join(text.splitlines()[-lines:])
