"""The commands for people who write policies: simulate, over the real binary."""
import json
import pathlib
import subprocess
import sys
import unittest
from decimal import Decimal

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build").resolve()
EXAMPLES = ROOT / "policies/examples"


def sluice(*arguments):
    return subprocess.run([BUILD / "sluice", *map(str, arguments)], capture_output=True, text=True,
                          timeout=120)


class Simulate(unittest.TestCase):
    FILES = ("--policy", EXAMPLES / "mixed_day.policy.yaml", "--workload", EXAMPLES / "mixed_day.yaml")

    def test_the_mixed_day_is_right_to_the_cent(self):
        ran = sluice("simulate", *self.FILES, "--json")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        day = json.loads(ran.stdout, parse_float=Decimal)
        self.assertEqual(day["total_usd"], Decimal("9.44"))
        self.assertEqual(day["baseline_usd"], 100)
        self.assertEqual({tier["tier"]: tier["requests"] for tier in day["tiers"]},
                         {"local": 700, "open": 250, "frontier": 50})
        self.assertEqual(day["self_hosting"]["break_even_out_tokens_a_day"], 75_000_000)

    def test_people_read_the_same_figures(self):
        ran = sluice("simulate", *self.FILES)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        for words in ("$9.44", "$100.00", "break-even: 75000000 output tokens a day"):
            self.assertIn(words, ran.stdout)

    def test_a_missing_file_is_named(self):
        ran = sluice("simulate", "--policy", "no.yaml", "--workload", EXAMPLES / "mixed_day.yaml")
        self.assertEqual(ran.returncode, 1)
        self.assertIn("no.yaml: cannot read this file", ran.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
