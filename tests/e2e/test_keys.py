"""sluice keys: made, listed, rotated and revoked while the gateway runs, which follows."""
import hashlib
import json
import subprocess
import unittest

import harness


class Keys(unittest.TestCase):
    def setUp(self):
        self.stack = self.enterContext(harness.Stack())
        self.config = self.stack.folder / "config.yaml"

    def keys(self, *arguments, expected=0, **more):
        ran = subprocess.run([harness.BUILD / "sluice", "keys", *arguments], capture_output=True,
                             text=True, timeout=harness.WAIT_S, check=False, **more)
        self.assertEqual(ran.returncode, expected, ran.stderr)
        return ran

    def status(self, secret):
        return self.stack.chat(key=secret).status

    def wait_for(self, secret, status):
        harness.until(lambda: self.status(secret) == status, f"it never was {status}")

    def test_a_key_lives_from_create_to_revoke(self):
        made = json.loads(self.keys("create", "--config", self.config, "--team", "alpha", "--user",
                                    "ann", "--json").stdout)
        self.assertEqual(sorted(made), ["budget_usd", "created", "from", "id", "key", "org",
                                        "revoked", "team", "user", "window"])
        self.wait_for(made["key"], 200)
        listed = self.keys("list", "--config", self.config, "--json").stdout
        self.assertNotIn(made["key"], listed)
        digest = hashlib.sha256(made["key"].encode()).hexdigest()
        self.assertNotIn(digest, listed)
        lines = {line["id"]: line for line in map(json.loads, listed.splitlines())}
        self.assertEqual(lines[made["id"]]["user"], "ann")
        self.assertIn("configuration", {line["from"] for line in lines.values()})

        again = json.loads(self.keys("rotate", "--config", self.config, made["id"],
                                     "--json").stdout)
        self.assertEqual(again["id"], made["id"])
        self.assertNotEqual(again["key"], made["key"])
        self.wait_for(again["key"], 200)
        self.assertEqual(self.status(made["key"]), 401)

        self.keys("revoke", "--config", self.config, made["id"])
        self.wait_for(again["key"], 401)
        self.assertIn("was revoked", self.keys("rotate", "--config", self.config, made["id"],
                                               expected=1).stderr)
        self.stack.gateway.stop()
        log = json.dumps(self.stack.gateway.lines)
        for secret in (made["key"], again["key"], digest):
            self.assertNotIn(secret, log)
            self.assertNotIn(secret, (self.stack.folder / "ledger.db.keys").read_text()
                             .replace(hashlib.sha256(again["key"].encode()).hexdigest(), ""))

    def test_a_budget_comes_with_its_key(self):
        made = json.loads(self.keys("create", "--config", self.config, "--team", "alpha",
                                    "--budget-usd", "0.0000001", "--window", "day",
                                    "--json").stdout)
        def known():
            answer = self.stack.chat(key=made["key"])
            return None if answer.status == 401 else answer
        answer = harness.until(known, "the key was never taken up")
        self.assertEqual(answer.status, 429)
        self.assertIn(made["id"], answer.body.decode())

    def test_commands_at_once_lose_no_key(self):
        running = [subprocess.Popen([harness.BUILD / "sluice", "keys", "create", "--config",
                                     self.config, "--team", "alpha"], stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL, text=True) for _ in range(6)]
        secrets = [one.communicate(timeout=harness.WAIT_S)[0].strip() for one in running]
        self.assertEqual(len(set(secrets)), 6)
        for secret in secrets:
            self.wait_for(secret, 200)

    def test_a_key_ends_also_where_the_configuration_cannot_be_taken_up(self):
        made = [json.loads(self.keys("create", "--config", self.config, "--team", "alpha",
                                     "--json").stdout) for _ in range(2)]
        for one in made:
            self.wait_for(one["key"], 200)
        good = self.config.read_text()
        for number, more in enumerate(("listen: 127.0.0.1:9\n", "colour: blue\n")):
            refused = sum(line["event"] == "reload_refused" for line in self.stack.gateway.lines)
            self.config.write_text(good + more)
            left = iter(range(refused))
            self.stack.gateway.wait_for(lambda line, left=left: line["event"] == "reload_refused"
                                        and next(left, None) is None)
            if number == 0:
                self.keys("revoke", "--config", self.config, made[0]["id"])
                self.wait_for(made[0]["key"], 401)
            else:
                again = json.loads(self.keys("rotate", "--config", self.config, made[1]["id"],
                                             "--json").stdout)
                self.wait_for(made[1]["key"], 401)
                self.wait_for(again["key"], 200)

    def test_as_many_keys_with_a_budget_are_made_as_budgets_are_kept(self):
        def line(number):
            return json.dumps({"id": f"key_{number}", "team": "alpha", "user": "",
                               "sha256": hashlib.sha256(str(number).encode()).hexdigest(),
                               "created": "2026-11-22T10:00:00Z", "revoked": "",
                               "budget_usd": "1", "window": "day"}) + "\n"
        kept = self.stack.folder / "ledger.db.keys"
        room = 10_000 - 6  # a key may bring budgets of its own, its team's and all callers'
        kept.write_text("".join(map(line, range(room))))
        money = ("--team", "alpha", "--budget-usd", "1", "--window", "day")
        self.keys("create", "--config", self.config, *money)
        before = kept.read_bytes()
        self.assertEqual(before.count(b"\n"), room + 1)
        refused = self.keys("create", "--config", self.config, *money, expected=1)
        self.assertIn("budgets, at most 10000 are kept: revoke keys that have one", refused.stderr)
        self.assertEqual(kept.read_bytes(), before)
        self.keys("revoke", "--config", self.config, "key_0")
        self.keys("create", "--config", self.config, *money)

    def test_keys_are_listed_whatever_else_is_wrong_in_the_configuration(self):
        made = json.loads(self.keys("create", "--config", self.config, "--team", "alpha", "--org",
                                    "acme", "--json").stdout)
        self.config.write_text(self.config.read_text() + "colour: blue\n")
        listed = self.keys("list", "--config", self.config, "--json").stdout
        lines = {line["id"]: line for line in map(json.loads, listed.splitlines())}
        self.assertEqual((lines[made["id"]]["org"], lines[made["id"]]["from"]), ("acme", "keys"))
        own = [line for line in lines.values() if line["from"] == "configuration"]
        self.assertIn("alpha", {line["team"] for line in own})

    def test_a_key_that_could_not_be_read_is_not_made(self):
        made = json.loads(self.keys("create", "--config", self.config, "--team", "alpha",
                                    "--json").stdout)
        typo = self.keys("create", "--config", self.config, "--team", "alhpa")
        self.assertIn("no other key is of team 'alhpa', did you mean 'alpha'?", typo.stderr)
        self.assertRegex(made["key"], "^sk-[a-z2-7]{40}$")
        for wrong, said in ((("--team", ""), "a team"),
                            (("--team", "a", "--budget-usd", "", "--window", "day"), "budget_usd")):
            ran = self.keys("create", "--config", self.config, *wrong, expected=1)
            self.assertIn(said, ran.stderr)
            self.assertEqual(ran.stdout, "")
        self.keys("revoke", "--config", self.config, made["id"])

    def test_what_cannot_be_done_is_said(self):
        for wrong in (["create", "--config", self.config], ["create", "--team", "alpha"],
                      ["create", "--config", self.config, "--team", "a", "--budget-usd", "1"],
                      ["create", "--config", self.config, "--team", "a", "--budget-usd", "much",
                       "--window", "day"], ["revoke", "--config", self.config], []):
            self.keys(*wrong, expected=2)
        unknown = self.keys("revoke", "--config", self.config, "key_none", expected=1)
        self.assertIn("there is no key 'key_none'", unknown.stderr)
        listed = self.keys("list", "--config", self.config, "--json").stdout
        own = json.loads(listed.splitlines()[0])["id"]
        self.assertIn("change it there", self.keys("revoke", "--config", self.config, own,
                                                   expected=1).stderr)
        self.assertIn("expected the key's secret", self.keys("hash", expected=1, input="").stderr)
        self.assertEqual(self.keys("hash", input="sk-x\n").stdout.strip(),
                         hashlib.sha256(b"sk-x").hexdigest())


if __name__ == "__main__":
    harness.main()
