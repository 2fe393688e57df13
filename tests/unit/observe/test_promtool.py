# SPDX-License-Identifier: Apache-2.0
"""promtool, of Prometheus itself, on rules, their tests and the text of a scrape."""
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[3]
RULES = SOURCE / "deploy/prometheus"
SKIPPED = 77  # SKIP_RETURN_CODE in CMakeLists.txt
# kube-proxy's name, and a gauge.
KNOWN = ["kubeproxy_sync_proxy_rules_no_local_endpoints_total non-counter metrics should not have"
         ' "_total" suffix']


# Of scripts/kubernetes, or the machine's own.
PROMTOOL = next((place for place in (os.environ.get("WEIR_PROMTOOL"), shutil.which("promtool"))
                 if place and os.path.exists(place)), None)


def promtool(*arguments, **how):
    return subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False, **how)


class Promtool(unittest.TestCase):
    def test_rules(self):
        checked = promtool("check", "rules", str(RULES / "alerts.yaml"))
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
        self.assertRegex(checked.stdout, r"SUCCESS: \d\d rules found")

    def test_alerts_fire_when_they_should(self):
        tested = promtool("test", "rules", str(RULES / "alerts_test.yaml"))
        self.assertEqual(tested.returncode, 0, tested.stdout + tested.stderr)

    def test_the_text_of_a_scrape(self):
        text = subprocess.run([os.environ["WEIR_METRICS_TEXT"]], check=True, capture_output=True, text=True)
        checked = promtool("check", "metrics", input=text.stdout)
        self.assertEqual(checked.stderr.splitlines(), KNOWN, checked.stdout)


if __name__ == "__main__":
    if PROMTOOL is None:
        print("skipped: no promtool: run scripts/kubernetes, or name one in WEIR_PROMTOOL", file=sys.stderr)
        sys.exit(SKIPPED)
    unittest.main(verbosity=2)
