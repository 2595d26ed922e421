"""What a policy says, done by the real gateway: caps, efforts, canaries, confinement, sessions,
headers, the reasoning on request; and the record of it all, replayed under another policy."""
import contextlib
import http.client
import json
import subprocess
import unittest
from decimal import Decimal

import harness

BASE = """version: 1
tiers:
  open: [open-sim, open-spare]
  frontier: [frontier-sim]
headers: [x-env]
default: {bands: [{below: 0.9, tier: open}, {tier: frontier}]}
confine:
  - {name: stays open, when: {any: [{data_class: restricted}, {pii: [card]}, {audio: true},
     {files: true}]}, to: [open]}
rules:
  - {name: locked, locked: true, when: {data_class: secret}, refuse: not to a model}
"""
TEAM = """version: 1
extends: base.yaml
rules:
  - {name: short, when: {tags: {short: "1"}}, use: auto, max_tokens: 5}
  - {name: prod, when: {headers: {x-env: prod}}, use: frontier, reasoning_effort: low}
  - {name: half, when: {tags: {half: "1"}}, use: open, canary: {percent: 50, use: frontier}}
"""


def start_over(stack, policy):
    """The gateway anew, with a team's policy that extends the company's."""
    stack.gateway.stop()
    (stack.folder / "base.yaml").write_text(BASE)
    (stack.folder / "policy.yaml").write_text(policy)
    stack.start()


class PolicyEffects(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = cls.enterClassContext(harness.Stack())
        start_over(cls.stack, TEAM)

    def test_an_answer_is_capped_whatever_its_caller_asks_for(self):
        answer = self.stack.chat(model="auto", max_tokens=40, headers={"x-sluice-tags": "short=1"})
        self.assertEqual(answer.headers["x-sluice-rule"], "short")
        self.assertLessEqual(answer.json()["usage"]["completion_tokens"], 5)

    def test_a_listed_header_is_matched_and_an_effort_set(self):
        answer = self.stack.chat(model="auto", headers={"X-Env": "prod"})
        self.assertEqual(answer.headers["x-sluice-tier"], "frontier")
        self.assertEqual(answer.headers["x-sluice-rule"], "prod")

    def test_a_label_that_is_given_twice_is_refused(self):
        for name in ("x-sluice-data-class", "x-env"):
            with contextlib.closing(http.client.HTTPConnection(
                    self.stack.gateway.address, timeout=harness.WAIT_S)) as connection:
                body = b'{"model":"auto","messages":[{"role":"user","content":"hi"}]}'
                connection.putrequest("POST", "/v1/chat/completions")
                for key, value in ((name, "public"), (name, "restricted"),
                                   ("authorization", "Bearer " + harness.KEY),
                                   ("content-length", str(len(body)))):
                    connection.putheader(key, value)
                connection.endheaders(body)
                answer = harness.Answer(connection.getresponse())
            self.assertEqual(answer.status, 400, answer.body)
            self.assertIn(name + " is given twice", answer.json()["error"]["message"])

    def test_a_session_stays_on_its_side_of_a_canary_and_both_sides_exist(self):
        sides = {}
        for session in map(str, range(40)):
            tiers = {self.stack.chat(model="auto", headers={
                "x-sluice-tags": "half=1", "x-sluice-session-id": session}).headers["x-sluice-tier"]
                for _ in range(2)}
            self.assertEqual(len(tiers), 1)
            sides.setdefault(tiers.pop(), []).append(session)
        self.assertGreater(len(sides["open"]), 5)
        self.assertGreater(len(sides["frontier"]), 5)

    def test_a_card_number_stays_wherever_it_stands_and_however_it_is_written(self):
        card, escaped = "4111 1111 1111 1111", "4111\\u00201111\\u002011111111"
        image = {"url": "https://x.org/" + "x" * 9_000 + "?card=" + card.replace(" ", "%20")}
        call = {"id": "c", "type": "function",
                "function": {"name": "f", "arguments": json.dumps({"a": json.dumps(escaped)})}}
        use = {"type": "tool_use", "id": "c", "name": "f", "input": {"number": card}}
        result = {"type": "tool_result", "tool_use_id": "c", "content": [
            {"type": "text", "text": '{"card":"%s"}' % escaped}]}
        user, said = {"role": "user", "content": "hi"}, "assistant"
        openai = [[{"role": "system", "content": "of " + card}, user],
                  [{"role": "user", "content": "x" * 100_000 + " " + card}],
                  [{"role": "user", "content": [{"type": "text", "text": "4111 1111 "},
                                                {"type": "text", "text": "1111 1111"}]}],
                  [{"role": "user", "content": [{"type": "image_url", "image_url": image}]}],
                  [user, {"role": said, "content": None, "tool_calls": [call]},
                   {"role": "tool", "tool_call_id": "c", "content": "done"}]]
        anthropic = [[{"role": "user", "content": "x"}, {"role": said, "content": [use]},
                      {"role": "user", "content": [{**result, "content": "none"}]}],
                     [{"role": said, "content": [{**use, "input": {}}]},
                      {"role": "user", "content": [result]}],
                     [{"role": "user", "content": [{"type": "document", "source": {
                         "type": "text", "media_type": "text/plain", "data": card}}]}]]
        for path, asked in (("/v1/chat/completions", openai), ("/v1/messages", anthropic)):
            for messages in asked:
                answer = self.stack.post(json.dumps({
                    "model": "frontier", "max_tokens": 9, "messages": messages}), path=path)
                self.assertEqual(answer.status, 403, answer.body)
                self.assertIn("stays open", answer.json()["error"]["message"])
        self.assertEqual(self.stack.chat(model="frontier").headers["x-sluice-tier"], "frontier")

    def test_confined_data_stays_although_its_tier_fails(self):
        with harness.Stack() as stack:  # of its own: upstreams that failed rest
            start_over(stack, TEAM)
            stack.sim.plan("fault=500", count=8, model="sim-reasoner")
            stack.sim.plan("fault=500", count=8, model="sim-frontier")
            for headers, text in (({"x-sluice-data-class": "Restricted"}, "hi"),
                                  ({}, "my card is 4111 1111 1111 1111")):
                answer = stack.chat(text, model="auto", headers=headers)
                self.assertGreaterEqual(answer.status, 500, answer.body)
                self.assertNotIn(b"frontier-sim", answer.body)

    def test_sound_and_documents_are_confined_in_both_dialects(self):
        pdf = "JVBERi0xLjQK"
        for path, part in (
                ("/v1/chat/completions",
                 {"type": "file", "file": {"filename": "a.pdf",
                                           "file_data": "data:application/pdf;base64," + pdf}}),
                ("/v1/chat/completions",
                 {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}),
                ("/v1/messages",
                 {"type": "document", "source": {"type": "base64", "data": pdf,
                                                 "media_type": "application/pdf"}})):
            answer = self.stack.post(
                json.dumps({"model": "frontier", "max_tokens": 16,
                            "messages": [{"role": "user", "content": [part]}]}), path=path)
            self.assertEqual(answer.status, 403, answer.body)
            self.assertIn(b"confined by 'stays open'", answer.body)

    def test_explain_takes_a_class_of_data_as_the_gateway_does(self):
        asked = json.dumps({"model": "frontier", "messages": [{"role": "user", "content": "hi"}]})
        for said, code, why in ((" RESTRICTED ", 1, "confined by 'stays open'"),
                                ("restricted,public", 2, "expected a class")):
            ran = subprocess.run(
                [harness.BUILD / "sluice", "explain", "--data-class", said, "--config",
                 self.stack.folder / "config.yaml"],
                input=asked, capture_output=True, text=True, timeout=harness.WAIT_S)
            self.assertEqual(ran.returncode, code, ran.stdout + ran.stderr)
            self.assertIn(why, ran.stdout + ran.stderr)

    def test_what_is_not_one_class_of_data_is_refused(self):
        for said in ("restricted,public", '"restricted"', "restricted;v=1", "top secret"):
            answer = self.stack.chat(headers={"x-sluice-data-class": said})
            self.assertEqual(answer.status, 400, said)
            self.assertIn("expected a class", answer.json()["error"]["message"])

    def test_asking_for_what_is_outside_is_forbidden(self):
        answer = self.stack.chat(model="frontier", headers={"x-sluice-data-class": "restricted"})
        self.assertEqual(answer.status, 403)
        self.assertIn(b"confined by 'stays open'", answer.body)
        answer = self.stack.chat(headers={"x-sluice-data-class": "secret"})
        self.assertEqual(answer.status, 403)
        self.assertNotIn("x-sluice-explain", answer.headers)

    def test_a_refusal_is_explained_where_that_is_asked_for(self):
        for model, data_class, why in (("auto", "secret", "not to a model (rule 'locked')"),
                                       ("frontier", "restricted", "confined by 'stays open'")):
            answer = self.stack.chat("a very private question", model=model, headers={
                "x-sluice-data-class": data_class, "x-sluice-explain": "1"})
            self.assertEqual(answer.status, 403)
            self.assertIn("refused: ", answer.headers["x-sluice-explain"])
            self.assertIn(why, answer.headers["x-sluice-explain"])
            self.assertNotIn("private", answer.headers["x-sluice-explain"])
            self.assertIn("x-sluice-policy-version", answer.headers)

    def test_the_reasoning_comes_on_request_only_and_without_the_prompt(self):
        text = "a very private question"
        answer = self.stack.chat(text, model="auto", headers={"x-sluice-explain": "1"})
        reasoning = answer.headers["x-sluice-explain"]
        self.assertIn("tier open", reasoning)
        self.assertNotIn("private", reasoning)
        self.assertLessEqual(len(reasoning), 1024)
        self.assertNotIn("x-sluice-explain", self.stack.chat(text, model="auto").headers)


class ByValue(unittest.TestCase):
    POLICY = """version: 1
extends: base.yaml
scoring:
  mode: value
  value_usd: "0.0001"
  switch_usd: "1"
  values: [{when: {tags: {dear: "1"}}, usd: "1000"}]
"""

    def setUp(self):
        self.stack = self.enterContext(harness.Stack())
        start_over(self.stack, self.POLICY)

    def ask(self, **headers):
        asked = {"x-sluice-explain": "1", **{f"x-sluice-{k}": v for k, v in headers.items()}}
        return self.stack.chat("Prove that there are infinitely many primes.", model="auto",
                               headers=asked).headers

    def test_a_dear_question_goes_to_the_strongest_tier_and_its_session_stays(self):
        session = {"session-id": "s1"}
        self.assertEqual(self.ask()["x-sluice-tier"], "open")
        self.assertEqual(self.ask(tags="dear=1", **session)["x-sluice-tier"], "frontier")
        later = self.ask(**session)
        self.assertEqual(later["x-sluice-tier"], "frontier")
        self.assertIn("its session stays there", later["x-sluice-explain"])
        self.assertIn("open is worth $", later["x-sluice-explain"])
        self.assertEqual(self.ask(**{"session-id": "s2"})["x-sluice-tier"], "open")

    def test_a_change_of_the_extended_file_is_taken_up(self):
        before = self.ask()["x-sluice-policy-version"]
        (self.stack.folder / "base.yaml").write_text(BASE + "# changed\n")
        self.stack.gateway.wait_for(lambda line: line.get("why") == "file change")
        self.assertNotEqual(self.ask()["x-sluice-policy-version"], before)


class Recorded(unittest.TestCase):
    def replay(self, stack, policy, *flags):
        path = stack.folder / "candidate.yaml"
        path.write_text(policy)
        return subprocess.run(
            [harness.BUILD / "sluice", "replay", "--policy", path, "--ledger",
             f"sqlite:{stack.folder}/ledger.db", *flags],
            capture_output=True, text=True, timeout=harness.WAIT_S)

    def test_what_a_gateway_recorded_is_replayed(self):
        with harness.Stack() as stack:
            for i in range(20):
                stack.chat("hello there", model="auto",
                           headers={"x-sluice-tags": "app=chat" if i % 2 else "app=mail"})
            stack.gateway.stop()
            policy = (stack.folder / "policy.yaml").read_text()
            same = self.replay(stack, policy, "--json", "--config", stack.folder / "config.yaml")
            same = json.loads(same.stdout, parse_float=Decimal)
            self.assertEqual(same["requests"], 20)
            self.assertEqual(same["moved"], 0)
            self.assertEqual(same["total"]["cost_usd"], same["total"]["new_cost_usd"])
            self.assertEqual(same["total"]["cost_usd"], stack.spend()["total"]["cost_usd"])
            self.assertFalse([note for note in same["notes"] if "no decision record" in note])
            rule = "\n  - {name: chat, when: {app: chat}, use: frontier}"
            moved = policy.replace("\nrules:", "\nrules:" + rule)
            unknown = self.replay(stack, moved, "--json")
            self.assertEqual(unknown.returncode, 0, unknown.stderr)
            unknown = json.loads(unknown.stdout, parse_float=Decimal)
            self.assertEqual(unknown["moved"], 10)
            self.assertEqual(unknown["moves"][0]["to"], "frontier")
            self.assertEqual(unknown["total"]["change_usd"], 0)
            notes = " ".join(unknown["notes"])
            self.assertIn("tier 'frontier' has no upstream on record, so its price is unknown: "
                          "name the configuration that has it (--config FILE)", notes)
            self.assertIn("10 requests move to a tier of unknown price", notes)
            by_price = self.replay(stack, policy + "scoring: {mode: value, value_usd: 0.01}\n")
            self.assertEqual(by_price.returncode, 1)
            self.assertIn("this policy chooses by price", by_price.stderr)
            config = ("--config", stack.folder / "config.yaml")
            ran = self.replay(stack, moved, "--json", *config)
            other = json.loads(ran.stdout, parse_float=Decimal)
            self.assertEqual(other["moved"], 10)
            self.assertEqual(other["moves"][0]["to"], "frontier")
            by = other["moves"][0]["by"]
            self.assertEqual([(one["rule"], one["requests"]) for one in by], [("chat", 10)])
            self.assertGreater(other["total"]["change_usd"], 0)
            low, high = other["total"]["change_usd_95"]
            self.assertLess(low, other["total"]["change_usd"])
            self.assertGreater(high, other["total"]["change_usd"])
            table = self.replay(stack, moved, "--format", "markdown", *config).stdout
            self.assertIn("| total", table)
            self.assertIn("open -> frontier: 10 requests", table)
            self.assertIn(", rule chat: 10 requests", table)
            bad = self.replay(stack, policy.replace("open-sim", "x").replace("version: 1", ""))
            self.assertEqual(bad.returncode, 1)
            self.assertIn("missing key 'version'", bad.stderr)
            self.assertEqual(self.replay(stack, policy, "--since", "week").returncode, 2)
            stack.start()

    def test_a_ledger_without_requests_is_replayed(self):
        with harness.Stack() as stack:
            stack.gateway.stop()
            policy = (stack.folder / "policy.yaml").read_text()
            for more in ((), ("--config", stack.folder / "config.yaml")):
                ran = self.replay(stack, policy, "--format", "markdown", *more)
                self.assertEqual(ran.returncode, 0, ran.stderr)
                self.assertIn("over 0 requests", ran.stdout)
                self.assertNotIn("nan", ran.stdout)
            stack.start()


if __name__ == "__main__":
    harness.main()
