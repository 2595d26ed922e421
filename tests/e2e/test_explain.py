"""`sluice explain` says of a request what the gateway then does with it, whoever asks and whatever
it is labelled with."""
import json
import random
import subprocess
import unittest

import harness

POLICY = """version: 1
tiers: {open: [open-sim, open-spare], frontier: [frontier-sim]}
aliases: {smart: frontier, cheap: open, any: auto}
headers: [x-env]
data_classes: [public, internal, restricted, secret]
callers: {teams: [alpha, beta]}
confine:
  - {name: r, when: {any: [{data_class: restricted}, {pii: [iban, card]}]}, to: [open]}
default: {bands: [{below: 0.5, tier: open}, {tier: frontier}]}
rules:
  - {name: no secrets, when: {data_class: secret}, refuse: not to a model}
  - {name: prod, when: {headers: {x-env: prod}, not: {tags: {batch: "*"}}}, use: frontier}
  - {name: app, when: {app: [a1, a2], turns: {min: 2}}, upstream: open-spare}
  - {name: german, when: {language: de}, order: [frontier, open]}
  - {name: long, when: {input_tokens: {min: 200}}, use: open, max_tokens: 50}
  - {name: hard, when: {all: [{needs_reasoning: {min: 0.7}}, {any: [{team: alpha},
      {model: smart}]}]}, use: frontier}
  - {name: schema, when: {json_schema: true}, use: open}
"""
TURNS = ["Hello there, how are you?", "What is 17*23?", "word " * 300,
         "Prove that there are infinitely many primes congruent to 3 mod 4.",
         "Bitte schreiben Sie einen kurzen Brief an die Behörde über die Steuererklärung.",
         "My card is 4111 1111 1111 1111, is it valid?", "Write code to sort a list",
         "DE89370400440532013000 ist meine IBAN"]
MODELS = ["auto", "auto", "smart", "cheap", "any", "open", "frontier", "open-spare"]
LABELS = {"x-sluice-data-class": ("--data-class", ["public", "restricted", "secret", "Internal", "odd"]),
          "x-sluice-tags": ("--tags", ["app=a1", "app=a2,batch=1", "batch=x"]),
          "x-env": ("--headers", ["prod", "dev"])}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}


def drawn(chance):
    """A request, its headers, and the same as options of `explain`."""
    turns = []
    for _ in range(chance.choice([0, 0, 1, 2])):
        turns += [{"role": "user", "content": chance.choice(TURNS)},
                  {"role": "assistant", "content": "ok"}]
    turns.append({"role": "user", "content": chance.choice(TURNS)})
    request = {"model": chance.choice(MODELS), "messages": turns}
    if chance.random() < 0.2:
        request["response_format"] = SCHEMA
    headers, options = {}, []
    for name, (option, values) in LABELS.items():
        if chance.random() < 0.4:
            headers[name] = chance.choice(values)
            options += [option, ("x-env=" if name == "x-env" else "") + headers[name]]
    return request, headers, options


class Explain(unittest.TestCase):
    def test_what_it_says_is_what_is_done(self):
        chance = random.Random(5)
        with harness.Stack() as stack:
            stack.gateway.stop()
            (stack.folder / "policy.yaml").write_text(POLICY)
            stack.start()
            rules = set()
            for _ in range(60):
                request, headers, options = drawn(chance)
                key, secret = chance.choice([("alpha", harness.KEY), ("beta", harness.OTHER_KEY)])
                served = stack.post(json.dumps(request), secret, headers)
                said = subprocess.run(
                    [harness.BUILD / "sluice", "explain", "--json", "--key", key, *options,
                     "--config", stack.folder / "config.yaml"], input=json.dumps(request),
                    capture_output=True, text=True, timeout=harness.WAIT_S, check=False)
                with self.subTest(request=request, headers=headers, key=key):
                    self.assertEqual(served.status == 200, said.returncode == 0, said.stderr)
                    if served.status != 200:
                        message = served.json()["error"]["message"]
                        self.assertEqual(said.stderr, f"refused: {message}\n")
                        self.assertEqual(json.loads(said.stdout), {"refused": message})
                        rules.add("refused")
                        continue
                    told = json.loads(said.stdout)
                    for name in ("tier", "upstream", "rule"):
                        self.assertEqual(told[name], served.headers["x-sluice-" + name])
                    self.assertAlmostEqual(told["difficulty"],
                                           float(served.headers["x-sluice-difficulty"]), 3)
                    rules.add(told["rule"])
            self.assertGreater(len(rules), 6, rules)


if __name__ == "__main__":
    harness.main()
