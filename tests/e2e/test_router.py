"""The router's commands on a small set made here: train-router, bench router, classify, explain."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build").resolve()
SLUICE = BUILD / "sluice"

POLICY = """\
version: 1
tiers: {open: [near], frontier: [far]}
default: {bands: [{below: 0.75, tier: open}, {tier: frontier}]}
"""
CONFIG = """\
version: 1
listen: 127.0.0.1:0
ledger: {url: "sqlite:ledger.db"}
policy: test.policy.yaml
keys:
  - {id: k, team: t, sha256: "%s"}
upstreams:
  - {name: near, vendor: simulated-openai, model: sim-reasoner, base_url: "http://127.0.0.1:9/v1"}
  - {name: far, vendor: simulated-anthropic, model: sim-frontier, base_url: "http://127.0.0.1:9/v1"}
""" % ("0" * 64)


def run(*arguments, stdin=""):
    return subprocess.run([SLUICE, *arguments], input=stdin, text=True, capture_output=True,
                          timeout=600)


def rows():
    for i in range(120):
        hard = i % 2
        prompt = ("prove the lemma number %d" if hard else "say something nice on day %d") % (i % 9)
        yield {"prompt": prompt, "source": "s", "cluster": f"a{i}", "p_solve": 0.05 + 0.9 * (not hard),
               "domain": "math" if hard else "writing", "ref_out_chars": 4000 if hard else 100}
        yield {"prompt": f"{prompt}\nA. one\nB. two\nC. three", "source": "choice", "cluster": f"b{i}",
               "domain": "stem", "p_solve": 0.9 - 0.8 * hard, "weak_correct": 1 - hard,
               "strong_correct": 1}
        yield {"prompt": ("Ann buys twelve each hour, %d" if hard else "Ann has %d") % (i % 9),
               "bench": "gsm8k", "cluster": f"c{i}", "weak": 1.0 - hard, "strong": 1.0,
               "contaminated": False}


class RouterCommands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.at = pathlib.Path(cls.folder.name)
        cls.data = cls.at / "rows.jsonl"
        cls.data.write_text("".join(json.dumps(row) + "\n" for row in rows()))
        (cls.at / "test.policy.yaml").write_text(POLICY)
        cls.config = cls.at / "test.yaml"
        cls.config.write_text(CONFIG)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_training_is_repeatable_prints_figures_and_is_measured(self):
        first, second = self.at / "first.weights", self.at / "second.weights"
        for out in (first, second):
            done = run("train-router", "--data", self.data, "--out", out)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("reasoning: 273 rows, AUC ", done.stdout)
        self.assertIn("gain on choice: 96 pairs, APGR ", done.stdout)
        payload = [path.read_bytes().split(b"\n\n", 1)[1] for path in (first, second)]
        self.assertEqual(payload[0], payload[1])

        def measured(*flags):
            done = run("bench", "router", "--json", "--data", self.data, "--weights", first,
                       "--only", "routing,flips,speed", *flags)
            self.assertEqual(done.returncode, 0, done.stderr)
            return list(map(json.loads, done.stdout.splitlines())), done.stderr
        lines, said = measured()
        self.assertIn("cross-validated over clusters, of the three quarters of them", said)
        sources = {line["source"]: line for line in lines if "source" in line}
        self.assertEqual(sources["choice"]["pairs"], 96)
        for name in ("gain", "length", "random"):
            apgr, low, high = sources["choice"][name]["apgr"]
            self.assertLessEqual(low, apgr)
            self.assertLessEqual(apgr, high)
        word = sources["routellm/gsm8k"]
        self.assertEqual(word["apgr"], word["gain"]["apgr"][0])
        self.assertGreater(word["gain"]["apgr"][0], word["random"]["apgr"][0])
        self.assertEqual({line["flips_of"] for line in lines if "flips_of" in line}, set(sources))
        speeds = {line["bytes"]: line for line in lines if "bytes" in line}
        self.assertEqual(set(speeds), {300, 1400, 20000})
        self.assertGreater(speeds[300]["classify_us_p50"], 0)
        lines, said = measured("--kept-back")
        self.assertIn("of the quarter of them that is kept back", said)
        kept = {line["source"]: line for line in lines if "source" in line}
        self.assertEqual(kept["choice"]["pairs"], 120 - 96)
        unseen = self.at / "unseen.jsonl"  # any other file is asked of the weights as they are
        unseen.write_text("".join(json.dumps(row) + "\n" for row in list(rows())[:300]))
        done = run("bench", "router", "--data", unseen, "--weights", first)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")
        self.assertIn("choice: 100 pairs, AUC of difficulty ", done.stdout)
        self.assertIn("    random  APGR ", done.stdout)

    def test_one_command_prints_the_whole_table(self):
        data, weights = self.at / "more.jsonl", self.at / "more.weights"
        more = [{"prompt": f"Bob has {i} or {'twelve each hour' if i % 2 else 'so'}",
                 "bench": "gsm8k", "cluster": f"d{i}", "weak": 1.0 - i % 2, "strong": 1.0,
                 "contaminated": False} for i in range(200)]
        data.write_text("".join(json.dumps(row) + "\n" for row in [*rows(), *more]))
        done = run("train-router", "--data", data, "--out", weights)
        self.assertEqual(done.returncode, 0, done.stderr)
        bench = ("bench", "router", data, "--weights", weights, "--folds", "2", "--replay-rows",
                 "3000")
        done = run(*bench, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = list(map(json.loads, done.stdout.splitlines()))
        carried = {(line["transfer_to"], line["labels"]): line
                   for line in lines if "transfer_to" in line}
        self.assertEqual(set(carried), {("routellm/gsm8k", 0), ("routellm/gsm8k", 100)})
        for line in carried.values():
            for name in ("gain", "length", "random"):
                apgr, low, high = line[name]["apgr"]
                self.assertTrue(low <= apgr <= high, line)
        table = {line["row"]: line for line in lines if "row" in line}
        self.assertEqual(len(table), 11)
        self.assertIn("3000 rows", table["replay of 1 M ledger rows"]["measured"])
        self.assertEqual(table["replay of 1 M ledger rows"]["reached"], "")  # not of a million
        self.assertIn("no file of it", table["MT-bench APGR, CPT50, CPT80"]["measured"])
        self.assertRegex(table["policy evaluation, 200 rules, p50"]["measured"], "[0-9.]+ us")
        self.assertIn("random", table["GSM8K APGR, CPT50, CPT80"]["measured"])
        self.assertIn("routellm/gsm8k, 100: ",
                      table["labels of a new source: 200 / 1,500, APGR"]["measured"])
        named = next(line for line in lines if "machine" in line)
        self.assertIn(f"{data} --weights {weights} --folds 2 --replay-rows 3000 --json",
                      named["command"])

        marks = self.at / "marks.jsonl"
        marks.write_text("".join(json.dumps(
            {"prompt": f"prompt {i} of eighty", "bench": "mt_bench", "cluster": f"m{i}",
             "weak": 4.0 + i % 3, "strong": 8.0}) + "\n" for i in range(80)))
        for given in ((data, marks), (marks,)):  # never fitted on, also beside what is
            done = run("bench", "router", *given, "--weights", weights, "--only", "routing",
                       "--folds", "2")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("| MT-bench APGR, CPT50, CPT80 | 0.75, 17, 32 | 0.80 | 80 pairs: ",
                          done.stdout)
            self.assertIn("| policy evaluation, 200 rules, p50 | 5 us | 1 us | not measured |",
                          done.stdout)

    def test_mt_bench_judges_alone_and_is_never_fitted_on(self):
        marks = self.at / "judges.jsonl"
        marks.write_text("".join(json.dumps(
            {"prompt": f"judge {i} of ninety: " + "words and words " * 40, "bench": "mt_bench",
             "cluster": f"m{i}", "weak": 4.0 + i % 3, "strong": 8.0}) + "\n" for i in range(90)))
        done = run("bench", "router", marks)  # as the README says
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("routellm/mt_bench: 90 pairs, ", done.stdout)
        self.assertIn("% of 90 decisions flip", done.stdout)
        of_one = r"%d bytes [0-9.]+ us \(quietest pass [0-9.]+\)"
        self.assertRegex(done.stdout, "; ".join(of_one % size for size in (300, 1400, 20000)))
        short = self.at / "short.jsonl"
        short.write_text("".join(json.dumps(
            {"prompt": f"p {i}", "bench": "mt_bench", "cluster": f"m{i}", "weak": 8.0,
             "strong": 8.0}) + "\n" for i in range(30)))
        done = run("bench", "router", short)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("| classify 0.3 / 1.4 / 20 KB, p50 | 2 / 6 / 40 us | 0.5 / 2 / 10 us | "
                      "not measured |  |", done.stdout)
        table = done.stdout[done.stdout.index("| | must"):]
        self.assertNotRegex(table, r"\b(nan|inf)\b")
        done = run("bench", "router", short, "--json")
        lines = [json.loads(line, parse_constant=self.fail) for line in done.stdout.splitlines()]
        self.assertIn([None] * 3, [line.get("apgr_less_length") for line in lines])
        for part, why in (("transfer", "data that the weights were trained on"),
                          ("learning", "1,000 pairs"), ("speed", "300 bytes of prompts")):
            done = run("bench", "router", short, "--only", part)
            self.assertEqual(done.returncode, 1, part)
            self.assertIn(f"no '{part}' of this data: ", done.stderr)
            self.assertIn(why, done.stderr)
        both, alone = self.at / "both.weights", self.at / "alone.weights"
        done = run("train-router", "--data", self.data, marks, "--out", both)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("left out 90 rows of routellm/mt_bench", done.stderr)
        self.assertNotIn("mt_bench", done.stdout)
        done = run("train-router", "--data", self.data, "--out", alone)
        self.assertNotIn("left out", done.stderr)
        heads, payloads = zip(*(path.read_bytes().split(b"\n\n", 1) for path in (both, alone)))
        self.assertEqual(payloads[0], payloads[1])
        self.assertEqual([head.count(b"judges.jsonl") for head in heads], [1, 0])  # its command

    def test_faults_are_named(self):
        done = run("train-router", "--data", "/nowhere.jsonl", "--out", self.at / "x")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nowhere.jsonl: cannot be opened", done.stderr)
        done = run("bench", "router", "--data", self.data, "--weights", self.data)
        self.assertEqual(done.returncode, 1)
        self.assertIn("not usable as router weights", done.stderr)
        self.assertEqual(run("train-router").returncode, 2)

    def test_classify_and_explain_agree(self):
        prompts = ["hello there", "Prove that the square root of 2 is irrational."]
        lines = "".join(json.dumps({"id": i, "prompt": p}) + "\n" for i, p in enumerate(prompts))
        done = run("classify", "--config", self.config, stdin=lines)
        self.assertEqual(done.returncode, 0, done.stderr)
        found = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([one["id"] for one in found], [0, 1])
        self.assertEqual([one["tier"] for one in found], ["open", "frontier"])
        self.assertLess(found[0]["gain"], found[1]["gain"])
        request = {"model": "auto", "messages": [{"role": "user", "content": prompts[1]}]}
        done = run("explain", "--json", "--config", self.config, stdin=json.dumps(request))
        self.assertEqual(done.returncode, 0, done.stderr)
        explained = json.loads(done.stdout)
        self.assertEqual(explained["tier"], "frontier")
        self.assertAlmostEqual(explained["difficulty"], found[1]["difficulty"], places=3)
        done = run("classify", "--config", self.config, stdin='{"id": 1}\n')
        self.assertEqual(done.returncode, 1)
        self.assertIn("line 1: expected 'prompt'", done.stderr)

    def test_weights_that_cannot_be_used_are_said(self):
        config = self.at / "no_weights.yaml"
        config.write_text(CONFIG + "classifier: nowhere.weights\n")
        request = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
        for command, stdin in (("classify", '{"id": 1, "prompt": "hello"}\n'),
                               ("explain", json.dumps(request))):
            done = run(command, "--config", config, stdin=stdin)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("no_weights.yaml:", done.stderr)
            self.assertIn("nowhere.weights", done.stderr)
            self.assertIn("difficulty is the need of reasoning instead", done.stderr)
            done = run(command, "--config", self.config, stdin=stdin)
            self.assertEqual((done.returncode, done.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
