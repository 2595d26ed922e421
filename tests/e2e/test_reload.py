"""SIGHUP takes up a new configuration whole, or keeps the old one whole; SIGTERM drains."""
import itertools
import signal
import subprocess
import threading
import time
import unittest

import harness


class Reload(unittest.TestCase):
    def setUp(self):
        self.stack = self.enterContext(harness.Stack())

    def hang_up(self, text, event):
        """Writes the policy, sends SIGHUP and waits until the log says `event`."""
        seen = sum(line["event"] == event for line in self.stack.gateway.lines)
        (self.stack.folder / "policy.yaml").write_text(text)
        self.stack.gateway.child.send_signal(signal.SIGHUP)
        left = iter(range(seen))
        return self.stack.gateway.wait_for(
            lambda line: line["event"] == event and next(left, None) is None)

    def test_a_good_policy_is_taken_up(self):
        good = (self.stack.folder / "policy.yaml").read_text()
        before = self.stack.chat(model="auto").headers["x-sluice-policy-version"]
        self.hang_up(good.replace("below: 0.5, tier: open", "below: 0.5, tier: frontier"),
                     "reloaded")
        after = self.stack.chat(model="auto")
        self.assertNotEqual(after.headers["x-sluice-policy-version"], before)
        self.assertEqual(after.headers["x-sluice-tier"], "frontier")

    def test_a_bad_policy_changes_nothing_and_its_faults_are_said(self):
        good = (self.stack.folder / "policy.yaml").read_text()
        before = self.stack.chat(model="auto").headers["x-sluice-policy-version"]
        line = self.hang_up(good.replace("[open-sim,", "[open-smi,"), "reload_refused")
        self.assertIn("open-smi", line["faults"])
        self.assertIn("policy.yaml:3:", line["faults"])
        answer = self.stack.chat(model="auto")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["x-sluice-policy-version"], before)
        self.hang_up(good + "# changed\n", "reloaded")
        self.assertNotEqual(self.stack.chat().headers["x-sluice-policy-version"], before)

    def test_a_team_that_is_nearly_one_of_the_keys_is_a_slip(self):
        good = (self.stack.folder / "policy.yaml").read_text()
        confine = "confine: [{{name: c, when: {{team: {}}}, to: [frontier]}}]\n".format
        line = self.hang_up(good + confine("alhpa"), "reload_refused")
        self.assertIn("no key has team 'alhpa', did you mean 'alpha'?", line["faults"])
        self.assertEqual(self.stack.chat(model="auto").headers["x-sluice-tier"], "open")
        self.hang_up(good + confine("alpha"), "reloaded")
        self.assertEqual(self.stack.chat(model="auto").headers["x-sluice-tier"], "frontier")
        self.hang_up(good + confine("alhpa") + "callers: {teams: [alhpa]}\n", "reloaded")

    def test_a_file_that_was_missing_or_wrong_is_taken_up_once_it_is_right(self):
        policy, base = (self.stack.folder / name for name in ("policy.yaml", "base.yaml"))
        good = policy.read_text()
        line = self.hang_up("version: 1\nextends: base.yaml\n", "reload_refused")
        self.assertIn("cannot read", line["faults"])
        for text, event in ((good.replace("[open-sim,", "[open-smi,"), "reload_refused"),
                            (good, "reloaded")):
            base.write_text(text)  # nobody says so
            self.stack.gateway.wait_for(lambda line, event=event: line["event"] == event
                                        and line["why"] == "file change")

    def test_a_teams_own_file_is_taken_up_when_its_people_change_it(self):
        policy, own = (self.stack.folder / name for name in ("policy.yaml", "own.yaml"))
        team = "version: 1\nrules: [{{name: ours, use: {}}}]\n".format
        own.write_text(team("open"))
        self.hang_up(policy.read_text() + "teams: {alpha: own.yaml}\n", "reloaded")
        answer = self.stack.chat(model="auto")
        self.assertEqual(answer.headers["x-sluice-rule"], "alpha: ours")
        self.assertEqual(answer.headers["x-sluice-tier"], "open")
        for text, event in ((team("opne"), "reload_refused"), (team("frontier"), "reloaded")):
            own.write_text(text)  # nobody says so
            self.stack.gateway.wait_for(lambda line, event=event: line["event"] == event
                                        and line["why"] == "file change")
        self.assertEqual(self.stack.chat(model="auto").headers["x-sluice-tier"], "frontier")

    def test_a_file_that_is_still_being_written_is_not_taken_up(self):
        policy = self.stack.folder / "policy.yaml"
        good = policy.read_text()
        half = good.replace("[open-sim, open-spare]", "[open-sim]")
        self.assertNotEqual(half, good)
        numbers = itertools.count()

        def version():
            return self.stack.chat().headers["x-sluice-policy-version"]

        def taken_while_written():
            """None where a write came so late that the file may have been taken for whole."""
            before = version()
            begun = written = time.monotonic()
            while written - begun < 3.2:  # some looks at it
                number = next(numbers)
                policy.write_text(half if number % 2 else good + f"# {number}\n")
                seen = version()
                last, written = written, time.monotonic()
                if written - last > 0.7:  # a second's quiet is what the gateway waits for
                    return None
                if seen != before:
                    return True
            return False

        tries = []
        while len(tries) < 20 and False not in tries:
            tries.append(taken_while_written())
            # Once may be what a late write before left behind.
            self.assertLess(tries.count(True), 3, "it was taken up while it was written")
        if False not in tries:
            self.skipTest("this machine cannot write a file often enough")
        before = version()
        policy.write_text(good + "# whole\n")
        harness.until(lambda: version() != before, "it was never taken up")

    def test_streams_are_whole_while_signals_to_reload_rain(self):
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.stack.chat(
            "[[sim tokens=40 reasoning_tokens=0 inter_token_ms=5]]", stream=True)))
            for _ in range(8)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            self.stack.gateway.child.send_signal(signal.SIGHUP)
            threads[0].join(0.005)
            for thread in threads:
                thread.join(0.001)
        self.assertEqual([answer.events()[-1] for answer in answers], ["[DONE]"] * 8)

    def test_a_stream_under_way_is_drained_on_sigterm(self):
        answers = []
        asking = threading.Thread(target=lambda: answers.append(self.stack.chat(
            "[[sim tokens=100 inter_token_ms=3]]", stream=True)))
        asking.start()
        self.stack.sim.wait(requests=1)
        self.stack.gateway.stop()  # checks its exit status
        asking.join(harness.WAIT_S)
        self.assertEqual(answers[0].events()[-1], "[DONE]")

    def test_a_bad_config_is_refused_at_start_with_every_fault(self):
        path = self.stack.folder / "bad.yaml"
        path.write_text(self.stack.config_text.replace("vendor: simulated-openai",
                                                       "vendor: simulated-opneai")
                        .replace("limits: {", "limts: {"))
        for command in (["serve", "--config", path], ["check", path]):
            ran = subprocess.run([harness.BUILD / "sluice", *command], capture_output=True,
                                 text=True, timeout=harness.WAIT_S, check=False)
            self.assertEqual(ran.returncode, 1, command)
            self.assertIn("bad.yaml:", ran.stderr)
            self.assertIn("limts", ran.stderr)
            self.assertIn("did you mean 'simulated-openai'", ran.stderr)


if __name__ == "__main__":
    harness.main()
