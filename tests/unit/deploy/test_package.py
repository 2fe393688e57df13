# SPDX-License-Identifier: Apache-2.0
"""The Debian package as cpack makes it of this build. What it does on a node is scripts/test-node's."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import yaml


def output(*words, **options):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        made = tempfile.TemporaryDirectory()
        cls.addClassCleanup(made.cleanup)
        cls.directory = pathlib.Path(made.name)
        output("cpack", "--config", os.environ["WEIR_BUILD"] + "/CPackConfig.cmake", "-B", made.name)
        cls.package, = cls.directory.glob("weir_*.deb")
        cls.root = cls.directory / "root"
        output("dpkg-deb", "--raw-extract", cls.package, cls.root)

    def script(self, name, action):
        """What that script has the tool do, on a machine without systemd."""
        said = self.directory / "said"
        said.write_text("", encoding="utf-8")
        tool = self.directory / "bin/weir"
        tool.parent.mkdir(exist_ok=True)
        tool.write_text(f'#!/bin/sh\necho "$@" >> {said}\n', encoding="utf-8")
        tool.chmod(0o755)
        output(self.root / "DEBIAN" / name, action,
               env=os.environ | {"PATH": f"{tool.parent}:{os.environ['PATH']}"})
        return said.read_text(encoding="utf-8").split()

    def test_says_what_it_needs(self):
        needs = output("dpkg-deb", "--field", self.package, "Depends")
        for library in ("libbpf1", "libcurl4", "libprometheus-cpp-core", "libc6"):
            self.assertIn(library, needs)

    def test_the_unit_starts_what_is_in_it(self):
        unit, = self.root.rglob("weir.service")
        self.assertEqual(unit.parent.relative_to(unit.parents[3]), pathlib.Path("lib/systemd/system"))
        binary = re.search(r"^ExecStart=(\S+) run ", unit.read_text(encoding="utf-8"), re.M)[1]
        self.assertTrue(os.access(f"{self.root}{binary}", os.X_OK), binary)

    def test_the_example_has_options_of_the_agent(self):
        example, = self.root.rglob("examples/weir.yaml")
        text = example.read_text(encoding="utf-8")
        known = set(re.findall(r"^ +--([a-z-]+)", output(os.environ["WEIR_BIN"], "run", "--help"), re.M))
        # Those that are commented out too.
        names = set(yaml.safe_load(re.sub(r"^# (?=[a-z-]+: )", "", text, flags=re.M)))
        self.assertEqual(names - known, set())
        self.assertEqual({"kubeconfig", "node-name", "service-cidr"}, names)

    def test_only_its_removal_takes_weir_out_of_the_kernel(self):
        self.assertEqual(self.script("prerm", "remove"), ["cleanup"])
        for name, action in (("prerm", "upgrade"), ("postinst", "configure"), ("postrm", "remove")):
            self.assertEqual(self.script(name, action), [], name)


if __name__ == "__main__":
    unittest.main()
