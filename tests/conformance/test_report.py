# SPDX-License-Identifier: Apache-2.0
"""The report and its records: what it writes, and every fault as one line."""
import contextlib
import io
import pathlib
import sys
import tempfile
import unittest
import unittest.mock

import report

SYSTEM = pathlib.Path(__file__).resolve().parents[1] / "system"
sys.path.insert(0, str(SYSTEM))
from cluster import conformance  # noqa: E402

ROWS = """# SPDX-License-Identifier: Apache-2.0
# 1.2 Policies
1.2/local\tonly pods of this node
1.2/choice\tA|B, either
1.3/mark\ta bit of the mark\tnot weir's: it marks nothing
"""
RECORDS = {"one": "1.2/local\tbpf/b_test: x\tpassed\n1.2/choice\tbpf/b_test: x\tpassed\n",
           "two": "1.2/local\tsystem/test_a: A.test_y\tpassed\n"}
DOCUMENT = report.HEAD + """## 1.2 Policies

| row | what it says | tests | result |
|---|---|---|---|
| 1.2/local | only pods of this node | bpf/b_test: x<br>system/test_a: A.test_y | passed |
| 1.2/choice | A\\|B, either | bpf/b_test: x | passed |

""" + report.FOREIGN + "| 1.3/mark | a bit of the mark | it marks nothing |\n"


class Case(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        for part in ("rows", "records"):
            (self.directory / part).mkdir()
        self.document = self.directory / "conformance.md"
        self.write("rows", "rows", ROWS)
        for name, text in RECORDS.items():
            self.write("records", name, text)

    def write(self, part, name, text):
        (self.directory / part / f"{name}.tsv").write_text(text, encoding="utf-8")

    def run_report(self, *more):
        """(exit status, lines on stderr)"""
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors), contextlib.redirect_stdout(io.StringIO()):
            status = report.main([str(self.directory / "records"), "--document", str(self.document),
                                  "--rows", str(self.directory / "rows"), *more])
        return status, errors.getvalue().splitlines()

    def fails(self, *lines, check=False):
        status, said = self.run_report(*(["--check"] if check else []))
        self.assertEqual((status, said), (1, [f"conformance: {line}" for line in lines]))


class Report(Case):
    def test_document(self):
        self.assertEqual(self.run_report(), (0, []))
        self.assertEqual(self.document.read_text(encoding="utf-8"), DOCUMENT)
        self.assertEqual(self.run_report("--check"), (0, []))

    def test_order_of_records_is_nothing_to_it(self):
        self.run_report()
        for (name, _), text in zip(RECORDS.items(), reversed(RECORDS.values())):
            self.write("records", name, "".join(reversed(text.splitlines(keepends=True))))
        self.write("records", "again", RECORDS["one"])  # the same tests with another compiler
        self.assertEqual(self.run_report("--check"), (0, []))

    def test_every_rows_file_is_read(self):
        self.write("rows", "section3", "3.1/first\tand more\n")
        self.fails("3.1/first: no test that passed")
        self.assertIn("## 3.1\n\n", self.document.read_text(encoding="utf-8"))
        self.assertIn("| 3.1/first | and more |  | no test |", self.document.read_text(encoding="utf-8"))

    def test_check_writes_nothing_and_compares(self):
        stale = "docs/conformance.md is not what this run gives; tests/conformance/report.py writes it"
        self.fails(stale, check=True)
        self.assertFalse(self.document.exists())
        self.document.write_text(DOCUMENT + "\n", encoding="utf-8")
        self.fails(stale, check=True)
        self.assertEqual(self.document.read_text(encoding="utf-8"), DOCUMENT + "\n")


class Faults(Case):
    def test_row_without_a_test(self):
        self.write("records", "one", "1.2/local\tt\tpassed\n")
        self.fails("1.2/choice: no test that passed")

    def test_skipped_is_not_passed(self):
        self.write("records", "one", "1.2/choice\tbpf/b_test: x\tskipped\n")
        self.fails("1.2/choice: no test that passed")
        self.assertIn("| bpf/b_test: x | skipped |", self.document.read_text(encoding="utf-8"))

    def test_failed_once_is_failed(self):
        """On one cluster of several, and although another test of the row passes."""
        self.write("records", "three", "1.2/local\tbpf/b_test: x\tfailed\n")
        self.fails("1.2/local: failed: bpf/b_test: x")
        self.write("records", "two", "")
        self.fails("1.2/local: failed: bpf/b_test: x", "1.2/local: no test that passed")

    def test_unknown_row(self):
        self.write("records", "three", "1.2/lokal\tt\tpassed\n")
        self.fails("1.2/lokal: no such row, named by t")

    def test_row_that_is_not_ours(self):
        self.write("records", "three", "1.3/mark\tt\tpassed\n")
        self.fails("1.3/mark: not weir's, and yet tested by t")

    def test_malformed_rows(self):
        for text, said in (
                ("1.2/x\n", "bad.tsv:1: expected an id, a text and perhaps \"not weir's: ...\", by tabs"),
                ("\n1.2/X\ty\n", "bad.tsv:2: \"1.2/X\" is no id like 1.2/affinity-shared"),
                ("1.2/x\ty\tnever\n", "bad.tsv:1: expected \"not weir's: ...\", got \"never\""),
                ("1.2/x\ty\n1.2/x\tz\n", "bad.tsv:2: 1.2/x is there twice")):
            with self.subTest(text=text):
                self.write("rows", "bad", text)
                self.fails(said)

    def test_malformed_records(self):
        for text in ("1.2/local\tt\n", "1.2/local\tt\tgood\n"):
            self.write("records", "three", text)
            self.fails("three.tsv:1: expected a row, a test and one of passed, failed, skipped, by tabs")

    def test_no_rows_and_no_records(self):
        for name in RECORDS:
            self.write("records", name, "")
        self.fails("no records: run the tests with WEIR_CONFORMANCE_DIR first")
        self.write("rows", "rows", "# nothing\n")
        self.fails("no rows: there is nothing to report on")


class Recorded(Case):
    """What a Python test leaves for the report."""

    def outcome_of(self, body):
        class Marked(unittest.TestCase):
            @conformance.rows("1.2/local")
            @conformance.rows("1.2/choice")
            def test_it(self):
                body(self)

        test, result = Marked("test_it"), unittest.TestResult()
        recorder = conformance.Recorder(result)
        test.run(result)
        with unittest.mock.patch.dict("os.environ", WEIR_CONFORMANCE_DIR=str(self.directory)):
            recorder.write(test)
        (path,) = self.directory.glob("*.tsv")
        rows, tests, outcomes = zip(*(line.split("\t") for line in path.read_text().splitlines()))
        path.unlink()
        self.assertEqual(rows, ("1.2/local", "1.2/choice"))
        self.assertTrue(tests[0].startswith("system/test_report: ") and tests[0].endswith(".test_it"))
        return set(outcomes)

    def test_outcomes(self):
        def bad_subtest(test):
            for number in range(3):
                with test.subTest(number=number):
                    test.assertNotEqual(number, 1)

        self.assertEqual(self.outcome_of(lambda test: None), {"passed"})
        self.assertEqual(self.outcome_of(lambda test: test.fail()), {"failed"})
        self.assertEqual(self.outcome_of(lambda test: 1 / 0), {"failed"})
        self.assertEqual(self.outcome_of(bad_subtest), {"failed"})
        self.assertEqual(self.outcome_of(lambda test: test.skipTest("no")), {"skipped"})

    def test_nothing_without_rows_or_directory(self):
        recorder = conformance.Recorder(unittest.TestResult())
        recorder.write(self)
        with unittest.mock.patch.dict("os.environ", WEIR_CONFORMANCE_DIR=str(self.directory)):
            recorder.write(self)
        self.assertEqual(list(self.directory.glob("*.tsv")), [])


if __name__ == "__main__":
    unittest.main()
