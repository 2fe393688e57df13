# SPDX-License-Identifier: Apache-2.0
"""Which rows of what a Service means a test is about, and how it ended."""
import os
import pathlib


def rows(*names):
    """Adds to the rows that a test is about; tests/conformance/*.tsv has them."""
    def mark(test):
        test.weir_rows = names + getattr(test, "weir_rows", ())
        return test
    return mark


class Recorder:
    """
    Around one run of a test: what its result has more of afterwards is how the test ended. A
    subtest that fails is one more failure there, and the test goes on.
    """

    def __init__(self, result):
        self.result = result
        self.before = self.counts()

    def counts(self):
        bad = (self.result.failures, self.result.errors, self.result.unexpectedSuccesses)
        return sum(map(len, bad)), len(self.result.skipped)

    def failed(self):
        return self.counts()[0] > self.before[0]

    def outcome(self):
        if self.failed():
            return "failed"
        return "skipped" if self.counts()[1] > self.before[1] else "passed"

    def write(self, test):
        """A file of this process in the directory that WEIR_CONFORMANCE_DIR names, if it does."""
        directory = os.environ.get("WEIR_CONFORMANCE_DIR")
        names = getattr(getattr(test, test._testMethodName), "weir_rows", ())
        if not directory or not names:
            return
        module, name = test.id().split(".", 1)
        with open(pathlib.Path(directory) / f"{module}-{os.getpid()}.tsv", "a",
                  encoding="utf-8") as file:
            for row in names:
                file.write(f"{row}\tsystem/{module}: {name}\t{self.outcome()}\n")
