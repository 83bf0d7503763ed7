"""The command line of the trading rules: what an exchange does not offer is told, and counted."""

import subprocess
import sys


def test_rules_about_what_is_not_offered_are_told_apart_and_counted() -> None:
    # Of these rules one is about trading, and the simplest market offers no webhooks.
    rules = "replay or rotated or retry_of_an_order"
    command = [sys.executable, "-m", "conformance", "--market", "v3", "--rules", rules]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.count("  ok      ") == 1
    assert ended.stdout.count("  ABSENT  ") == 2
    assert "1 rules hold, 0 are broken, 2 WERE NOT JUDGED" in ended.stdout
