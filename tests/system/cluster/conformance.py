# SPDX-License-Identifier: Apache-2.0
"""Which rows of what a Service means a test is about."""


def rows(*names):
    """Marks a test with the rows that it tests, as tests/conformance/rows.tsv names them."""
    def mark(test):
        test.weir_rows = names
        return test
    return mark
