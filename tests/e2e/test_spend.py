"""sluice spend over a ledger made here: exact sums, three formats, clear refusals."""
import json
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest
from decimal import Decimal

BUILD = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path("build")
NUMBERS = ["started_unix_ms", "answered", "in_uncached", "in_cache_read", "in_cache_write",
           "in_cache_write_1h", "out_text", "out_reasoning", "cost_pico_usd", "baseline_pico_usd"]
TEXTS = ["org", "team", "key_id", "user", "session_id", "model_asked", "tier", "upstream", "vendor",
         "model", "rule", "policy_version", "outcome"]


class Spend(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name) / "ledger.db"
        database = sqlite3.connect(self.path)
        columns = ["id INTEGER"] + [f"{name} INTEGER DEFAULT 0" for name in NUMBERS]
        columns += [f"{name} TEXT DEFAULT ''" for name in TEXTS]
        database.execute(f"CREATE TABLE attempts ({', '.join(columns)})")
        database.execute("PRAGMA user_version=2")
        self.database = database

    def tearDown(self):
        self.database.close()
        self.folder.cleanup()

    def add(self, age_s=0, **row):
        row["started_unix_ms"] = int((time.time() - age_s) * 1000)
        row["id"] = row["started_unix_ms"] * 1000
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        self.database.execute(f"INSERT INTO attempts ({names}) VALUES ({marks})", [*row.values()])
        self.database.commit()

    def run_spend(self, *flags, ledger=None):
        ledger = f"sqlite:{self.path}" if ledger is None else ledger
        return subprocess.run([BUILD / "sluice", "spend", "--ledger", ledger, *flags],
                              capture_output=True, text=True, timeout=600)

    def json(self, *flags):
        ran = self.run_spend("--format", "json", *flags)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return json.loads(ran.stdout, parse_float=Decimal)

    def test_sums_are_exact_beyond_64_bits(self):
        most = 2**63 - 1
        for _ in range(5):
            self.add(tier="frontier", team="a", cost_pico_usd=most, baseline_pico_usd=most)
        self.add(tier="local", team="a", answered=1, cost_pico_usd=1, baseline_pico_usd=3,
                 in_uncached=5, in_cache_read=7, out_text=11, out_reasoning=13)
        bill = self.json("--by", "tier")
        total = Decimal(5 * most + 1) / 10**12
        self.assertEqual(bill["total"]["cost_usd"], total)
        self.assertEqual(bill["total"]["saved_usd"], Decimal(2) / 10**12)
        local = next(row for row in bill["rows"] if row["tier"] == "local")
        self.assertEqual(local, {
            "tier": "local", "requests": 1, "attempts": 1, "in_tokens": 5,
            "in_cache_read_tokens": 7, "out_text_tokens": 11, "out_reasoning_tokens": 13,
            "cost_usd": Decimal("0.000000000001"), "baseline_usd": Decimal("0.000000000003"),
            "saved_usd": Decimal("0.000000000002")})

    def test_an_escalated_request_is_one_request_and_two_attempts(self):
        self.add(tier="local", answered=0, cost_pico_usd=10**12)
        self.add(tier="open", answered=1, cost_pico_usd=3 * 10**12, baseline_pico_usd=2 * 10**12)
        total = self.json("--by", "tier")["total"]
        self.assertEqual((total["requests"], total["attempts"]), (1, 2))
        self.assertEqual(total["cost_usd"], 4)
        self.assertEqual(total["saved_usd"], -2)

    def test_since_leaves_out_what_is_older(self):
        self.add(age_s=10, tier="local")
        self.add(age_s=3 * 3600, tier="local")
        self.add(age_s=30 * 86400, tier="local")
        for since, attempts in [("30m", 1), ("24h", 2), ("7d", 2), ("all", 3)]:
            self.assertEqual(self.json("--since", since)["total"]["attempts"], attempts, since)

    def test_a_name_with_commas_and_quotes_stays_one_cell(self):
        self.add(team='a "b", c', cost_pico_usd=2 * 10**12)
        lines = self.run_spend("--format", "csv", "--by", "team").stdout.splitlines()
        self.assertTrue(lines[0].startswith("team,requests,attempts,"), lines[0])
        self.assertTrue(lines[1].startswith('"a ""b"", c",0,1,'), lines[1])
        self.assertTrue(lines[2].startswith("total,"), lines[2])
        self.assertEqual(self.json("--by", "team")["rows"][0]["team"], 'a "b", c')
        self.assertIn("2.0", self.run_spend("--by", "team,day").stdout)

    def test_an_empty_ledger_is_a_bill_of_nothing(self):
        self.assertEqual(self.json()["total"]["cost_usd"], 0)
        self.assertEqual(self.json()["rows"], [])

    def test_what_is_wrong_is_said(self):
        text = pathlib.Path(self.folder.name) / "text"
        text.write_text("no database " * 500)
        for status, words, flags, ledger in [
                (2, "no column 'colour', there are", ["--by", "tier,colour"], None),
                (2, "upstream, user, vendor", ["--by", "colour"], None),
                (2, "expected 30m, 24h, 7d or all, got 'yesterday'", ["--since", "yesterday"], None),
                (2, "--format", ["--format", "xml"], None),
                (2, "expected sqlite:PATH, got 'postgres://x'", [], "postgres://x"),
                (1, "no such file", [], "sqlite:/nowhere/ledger.db"),
                (1, "text", [], f"sqlite:{text}")]:
            ran = self.run_spend(*flags, ledger=ledger)
            self.assertEqual(ran.returncode, status, ran.stderr)
            self.assertIn(words, ran.stderr)
            self.assertEqual(ran.stdout, "")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0]], verbosity=2)
