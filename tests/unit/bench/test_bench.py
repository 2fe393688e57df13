# SPDX-License-Identifier: Apache-2.0
"""The parts run in turn, each failing for itself; results are kept and read again."""
import contextlib
import io
import json
import pathlib
import sys
import tempfile
import types
import unittest
import unittest.mock

import made_up
import bench


def part(records=(), error=None):
    def measure(options, say):
        say("measuring")
        if error:
            raise error
        return list(records)
    return types.SimpleNamespace(measure=measure)


class Case(unittest.TestCase):
    def setUp(self):
        self.out = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(unittest.mock.patch("os.geteuid", lambda: 0))

    def run_bench(self, *words, **modules):
        """(exit status, stdout, stderr); a module that is None does not exist."""
        out, errors = io.StringIO(), io.StringIO()
        found = dict.fromkeys(bench.PARTS) | modules
        with unittest.mock.patch.object(bench.importlib, "import_module", finder(found)), \
                contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            status = bench.main(["--out", str(self.out), *words])
        return status, out.getvalue(), errors.getvalue()

    def results(self):
        return json.loads((self.out / "results.json").read_text(encoding="utf-8"))


def finder(modules):
    real = bench.importlib.import_module  # the report's libraries come by it too

    def find(name):
        if name not in modules:
            return real(name)
        if modules[name] is None:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return modules[name]
    return find


class Parts(Case):
    def test_of_which_some_do_not_exist_yet(self):
        records = [each for each in made_up.records() if each.part == "node"]
        status, text, errors = self.run_bench(node=part(records))
        self.assertEqual(status, 0)
        self.assertIn("packet: there is no such part yet", errors)
        self.assertEqual(len(self.results()["records"]), len(records))
        self.assertIn("targets: ", text)
        self.assertIn("<h1>", (self.out / "index.html").read_text(encoding="utf-8"))

    def test_asked_for_by_name_must_exist(self):
        with self.assertRaises(ModuleNotFoundError):
            self.run_bench("--parts", "node,control", control=part())

    def test_only_those_asked_for_run(self):
        self.run_bench("--parts", "control", node=part(error=AssertionError()), control=part())
        self.assertEqual([each["name"] for each in self.results()["parts"]], ["control"])

    def test_with_a_module_of_their_own_missing_are_an_error(self):
        def find(_name):
            raise ModuleNotFoundError("No module named 'other'", name="other")
        with unittest.mock.patch.object(bench.importlib, "import_module", find), \
                self.assertRaises(ModuleNotFoundError):
            bench.modules(None)

    def test_one_fails_and_the_others_go_on(self):
        records = made_up.records()[:3]
        for error in (OSError("broken"), SystemExit("broken")):
            status, text, errors = self.run_bench(packet=part(error=error), node=part(records))
            self.assertEqual(status, 1)
            facts = {each["name"]: each["error"] for each in self.results()["parts"]}
            self.assertEqual(facts, {"packet": f"{type(error).__name__}: broken", "node": None})
            self.assertEqual(len(self.results()["records"]), 3)
            self.assertIn("packet failed: ", text)
            self.assertIn("Traceback", errors)

    def test_none_at_all_is_a_failure(self):
        self.assertEqual(self.run_bench()[0], 1)

    def test_unknown_names_are_refused(self):
        with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()) as errors:
            bench.arguments(["--parts", "node,nonsense"])
        self.assertIn("no part nonsense", errors.getvalue())


class Again(Case):
    def setUp(self):
        super().setUp()
        self.path = self.out / "old.json"
        records = [each for each in made_up.records() if each.part == "node"]
        self.path.write_text(json.dumps(made_up.results(records)), encoding="utf-8")

    def test_writes_the_same_page(self):
        status, first, _ = self.run_bench("--from", str(self.path))
        self.assertEqual(status, 0)
        page = (self.out / "index.html").read_bytes()
        self.assertEqual(self.run_bench("--from", str(self.path))[:2], (0, first))
        self.assertEqual((self.out / "index.html").read_bytes(), page)
        self.assertFalse((self.out / "results.json").exists())

    def test_beside_the_results_unless_told(self):
        self.assertEqual(bench.arguments(["--from", str(self.path)]).out, self.out)

    def test_for_readme(self):
        status, text, _ = self.run_bench("--from", str(self.path), "--readme", str(self.out))
        self.assertEqual(status, 0)
        self.assertIn("| weir, XDP ", text)
        self.assertIn("<svg", (self.out / "bench-main.svg").read_text(encoding="utf-8"))

    def test_other_files_are_refused(self):
        for content in ("{", "[]", '{"rates": {}}'):
            self.path.write_text(content, encoding="utf-8")
            with self.assertRaises(SystemExit) as caught:
                self.run_bench("--from", str(self.path))
            self.assertIn("old.json", str(caught.exception))


class Machine(unittest.TestCase):
    def test_facts_do_not_name_it(self):
        facts = bench.machine.facts()
        self.assertEqual(set(facts), {"kernel", "architecture", "cpu", "cpus", "memory_gib",
                                      "hypervisor", "bpf_jit"})
        self.assertNotIn(bench.machine.platform.node(), json.dumps(facts))

    def test_compiler_of_an_object(self):
        with tempfile.NamedTemporaryFile() as made:
            made.write(b"\0Debian clang version 14.0.6\0")
            made.flush()
            self.assertEqual(bench.machine.compiler(made.name), "14.0.6")
        self.assertEqual(bench.machine.compiler(sys.executable + "/none"), "unknown")
