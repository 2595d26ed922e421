"""The router learns from what callers say of answers: feedback becomes state, state a changed
ranking, and a roll-back undoes it; what is learned outlives kill -9, and a damaged file does not
stop the gateway."""
import json
import re
import sqlite3
import subprocess
import unittest

import harness

LEARNING = """learning:
  explore: {percent: 5, band: 0.5}   # all of them are near
  promote: {labels_min: 60, confidence: 0.6}
  labels_per_key_per_day: 1000
  labels_per_question_per_day: 1000
  labels_share_per_key: 1
  labels_share_per_team: 1
"""
HARD = "Settle the zebra account of quarter {n} against the ledger of the branch office."
EASY = "Write a short friendly note to colleague {n} about lunch on the terrace tomorrow."


def learning(text):
    return text + "learning: {state: learned.state}\n"


class Learning(unittest.TestCase):
    def setUp(self):
        self.stack = self.enterContext(harness.Stack(edit=learning))
        policy = self.stack.folder / "policy.yaml"
        policy.write_text(policy.read_text() + LEARNING)
        self.stack.gateway.stop()
        self.stack.start()

    def ask(self, prompt, request_id, headers=None, **fields):
        return self.stack.chat(prompt, model="auto",
                               headers=headers or {"x-request-id": request_id}, **fields)

    def rate(self, request_id, key=harness.KEY, headers=None, **word):
        body = json.dumps({"request_id": request_id, **word})
        return self.stack.post(body, key, headers, path="/v1/feedback")

    def router(self):
        answer = self.stack.get("/admin/router", harness.ADMIN_KEY)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()

    def difficulty(self, prompt):
        return float(self.ask(prompt, "probe").headers["x-sluice-difficulty"])

    def teach(self, most=900):
        """Hard requests fail on the open tier and nothing else does, until something is promoted
        and one request at least was drawn across the threshold (1 of 20 is, by chance)."""
        for n in range(most):
            hard = n % 2 == 0
            answer = self.ask((HARD if hard else EASY).format(n=n), f"taught-{n}")
            self.assertEqual(answer.status, 200, answer.body)
            fails = hard and answer.headers["x-sluice-tier"] == "open"
            rated = self.rate(f"taught-{n}", thumb="down" if fails else "up")
            self.assertEqual(rated.json(), {"recorded": True, "learned": True})
            if n % 20 == 19 and self.router()["champion"]["version"] and self.explored():
                return n + 1
        self.fail(f"nothing was promoted or explored: {self.router()}")

    def explored(self):
        metrics = self.stack.get("/metrics").body.decode()
        return int(re.search(r"^sluice_explored_requests_total (\d+)$", metrics, re.M)[1])

    def wait_saved(self):
        harness.until(lambda: self.router()["state"]["saved"], "the state was never saved")

    def test_feedback_changes_the_ranking_and_a_rollback_undoes_it(self):
        before = self.difficulty(HARD.format(n=1))
        asked = self.teach()
        learned = self.difficulty(HARD.format(n=1))
        metrics = self.stack.get("/metrics").body.decode()
        self.assertIn('sluice_feedback_total{kind="thumb",result="learned"} %d' % asked, metrics)
        self.assertRegex(metrics, r"\nsluice_router_champion_version [1-9]")
        self.assertRegex(metrics, r'sluice_router_advantage_ratio{bound="low",of="challenger"} -?[0-9.]')
        self.assertGreater(learned, before + 0.05)
        self.assertGreater(learned, self.difficulty(EASY.format(n=1)))
        exported = self.stack.get("/admin/router/export", harness.ADMIN_KEY).body
        (self.stack.folder / "exported").write_bytes(exported)
        self.assertTrue(exported.startswith(b"sluice-learning 2\n"), exported[:40])

        back = self.stack.post("", harness.ADMIN_KEY, path="/admin/router/rollback")
        self.assertEqual(back.status, 200, back.body)
        self.assertEqual(back.json()["champion"]["is"], "the shipped prior")
        self.assertEqual(self.difficulty(HARD.format(n=1)), before)
        again = self.stack.post("", harness.ADMIN_KEY, path="/admin/router/rollback")
        self.assertEqual(again.status, 400, again.body)

        taken = self.stack.post(exported, harness.ADMIN_KEY, path="/admin/router/import")
        self.assertEqual(taken.status, 200, taken.body)
        self.assertEqual(self.difficulty(HARD.format(n=1)), learned)

        self.wait_saved()
        self.assertAlmostEqual(self.explained(HARD.format(n=1)), learned, places=3)
        self.assertAlmostEqual(self.explained(HARD.format(n=1), "--learned", "exported"), learned,
                               places=3)
        self.check_cases(before, learned)
        self.check_replay(before, learned)
        self.stack.gateway.kill()
        self.stack.start()
        self.assertEqual(self.difficulty(HARD.format(n=1)), learned)
        self.assertEqual(self.router()["state"]["refused"], "")

        self.stack.gateway.stop()
        state = self.stack.folder / "learned.state"
        state.write_bytes(state.read_bytes()[:-100])
        self.stack.start()
        self.assertIn("truncated or damaged", self.router()["state"]["refused"])
        self.assertEqual(self.difficulty(HARD.format(n=1)), before)
        self.assertTrue((self.stack.folder / "learned.state.refused").exists())
        self.stack.gateway.stop()
        self.check_rows(asked)

    def sluice(self, *arguments, said=""):
        ran = subprocess.run([harness.BUILD / "sluice", *arguments], cwd=self.stack.folder,
                             input=said, capture_output=True, text=True, timeout=harness.WAIT_S)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        return ran.stdout

    def explained(self, prompt, *options):
        asked = {"model": "auto", "messages": [{"role": "user", "content": prompt}]}
        said = self.sluice("explain", "--json", "--config", "config.yaml", *options,
                           said=json.dumps(asked))
        return json.loads(said)["difficulty"]

    def check_cases(self, prior, learned):
        """Between what the shipped prior says of the prompt and what was learned: only with the
        state does the case go to the dear tier."""
        prompt = HARD.format(n=1)
        (self.stack.folder / "own.policy.yaml").write_text(
            "version: 1\ntiers: {open: [a], frontier: [b]}\ndefault: {bands: "
            f"[{{below: {(prior + learned) / 2}, tier: open}}, {{tier: frontier}}]}}\n")
        for learned_too, tier in ((True, "frontier"), (False, "open")):
            (self.stack.folder / "own.test.yaml").write_text(
                "policy: own.policy.yaml\ncases: [{name: it, request: {prompt: "
                f"{json.dumps(prompt)}}}, expect: {{tier: {tier}}}}}]\n")
            self.sluice("test", "own.test.yaml", *(["--learned", "exported"] * learned_too))
            (self.stack.folder / "day.yaml").write_text(
                "version: 1\nupstreams: {a: {input: '1', output: '1'}, b: {input: '2', output: "
                "'2'}}\ngroups: [{name: it, count: 3, output_tokens: 10, prompt: "
                f"{json.dumps(prompt)}}}]\n")
            day = json.loads(self.sluice("simulate", "--json", "--policy", "own.policy.yaml",
                                         "--workload", "day.yaml",
                                         *(["--learned", "exported"] * learned_too)))
            self.assertEqual([one["tier"] for one in day["tiers"]], [tier])
            said = self.sluice("classify", "--config", "config.yaml",
                               *(["--learned", "exported"] * learned_too),
                               said=json.dumps({"id": 1, "prompt": prompt}) + "\n")
            self.assertAlmostEqual(json.loads(said)["difficulty"],
                                   learned if learned_too else prior, places=3)

    def check_replay(self, prior, learned):
        """Requests of before anything was learned are scored by it now; but of restricted data no
        feature is on record."""
        answer = self.ask(HARD.format(n=1), "kept-home", headers={
            "x-request-id": "kept-home", "x-sluice-data-class": "restricted"})
        self.assertEqual(answer.status, 200, answer.body)
        (self.stack.folder / "new.policy.yaml").write_text(
            "version: 1\ntiers: {open: [open-sim], frontier: [frontier-sim]}\ndefault: {bands: "
            f"[{{below: {(prior + learned) / 2}, tier: open}}, {{tier: frontier}}]}}\n")

        def replayed(*options):
            said = self.sluice("replay", "--json", "--policy", "new.policy.yaml", "--ledger",
                               "sqlite:ledger.db", "--since", "all", *options)
            report = json.loads(said)
            return report, {tier["tier"]: tier["new_requests"] for tier in report["tiers"]}
        report, as_recorded = replayed()
        self.assertEqual(report["rescored"], 0)
        report, anew = replayed("--learned", "exported")
        self.assertEqual(report["rescored"], report["requests"] - 1)
        self.assertTrue(any(note.startswith("1 requests have no features on record")
                            for note in report["notes"]), report["notes"])
        self.assertGreater(anew["frontier"], as_recorded["frontier"] + 20)
        text = self.sluice("replay", "--policy", "new.policy.yaml", "--ledger", "sqlite:ledger.db",
                           "--since", "all", "--learned", "exported")
        self.assertIn(f"difficulty of {report['rescored']} requests by their recorded features and "
                      "what was learned, of 1 as recorded", text)

    def check_rows(self, asked):
        database = sqlite3.connect(self.stack.folder / "ledger.db")
        rows = database.execute("SELECT propensity, COUNT(*) FROM outcomes WHERE kind = 'thumb' "
                                "GROUP BY round(propensity, 4)").fetchall()
        database.close()
        self.assertEqual(sum(count for _, count in rows), asked)
        said = {round(propensity, 4) for propensity, _ in rows}
        self.assertIn(0.95, said)
        self.assertLessEqual(said, {0.05, 0.95, 1})

    def test_a_request_that_is_called_as_one_before_is_drawn_anew(self):
        tiers = set()
        for _ in range(2000):  # 1 of 20 is drawn across: none of so many never happens
            tiers.add(self.ask("a question", "always-the-same").headers["x-sluice-tier"])
            if len(tiers) == 2:
                break
        self.assertEqual(tiers, {"open", "frontier"})

    def test_an_answer_of_before_a_restart_is_found_in_the_ledger(self):
        self.ask("a question", "of-before")
        self.stack.gateway.stop()
        self.stack.start()
        self.assertEqual(self.rate("of-before", harness.OTHER_KEY, thumb="up").status, 404)
        rated = self.rate_until("of-before", thumb="down")
        self.assertEqual(rated["recorded"], True)
        self.assertEqual(rated["learned"], False)
        self.assertIn("forgotten", rated["why"])
        self.assertEqual(self.rate_until("of-before", score=1)["recorded"], False)
        metrics = self.stack.get("/metrics").body.decode()
        self.assertIn('sluice_feedback_total{kind="thumb",result="kept"} 1', metrics)
        self.assertIn('sluice_feedback_total{kind="thumb",result="unknown"} 1', metrics)
        self.stack.gateway.stop()
        database = sqlite3.connect(self.stack.folder / "ledger.db")
        rows = database.execute("SELECT request_id, kind, score, learned FROM outcomes").fetchall()
        database.close()
        self.assertEqual(rows, [("of-before", "thumb", 0.0, 0)])

    def rate_until(self, request_id, **word):
        """The ledger is looked through by one at a time, and rests between."""
        def rated():
            answer = self.rate(request_id, **word)
            self.assertIn(answer.status, (200, 503), answer.body)
            return answer.json() if answer.status == 200 else None
        return harness.until(rated, "the ledger never had time")

    def test_only_the_team_that_was_answered_may_say_how_it_was(self):
        self.ask("a question", "mine")
        for key, status in ((harness.OTHER_KEY, 404), ("sk-none", 401), (harness.KEY, 200)):
            self.assertEqual(self.rate("mine", key, score=0.5).status, status)
        again = self.rate("mine", thumb="up")
        self.assertEqual(again.status, 200)
        self.assertEqual(again.json()["recorded"], False)
        self.assertIn(self.rate("never-asked", thumb="up").status, (404, 503))

    def test_a_bad_word_is_refused_in_the_callers_dialect(self):
        self.ask("a question", "asked")
        cases = [({"thumb": "sideways"}, "expected one of up, down"),
                 ({"score": 1.5}, "score"),
                 ({"label": "right", "thumb": "up"}, "exactly one of"),
                 ({}, "exactly one of"),
                 ({"thumb": "up", "comment": "the prompt again"}, "unknown field 'comment'"),
                 ({"thumb": "up" * 3000}, "at most 4096")]
        for word, said in cases:
            answer = self.rate("asked", **word)
            self.assertIn(answer.status, (400, 413), answer.body)
            self.assertIn(said, answer.json()["error"]["message"])
        metrics = self.stack.get("/metrics").body.decode()
        self.assertIn('sluice_feedback_total{kind="",result="malformed"} %d' % len(cases), metrics)
        answer = self.rate("asked", headers={"anthropic-version": "2023-06-01"}, thumb="x")
        self.assertEqual(answer.json()["type"], "error")
        self.assertEqual(self.rate("asked", label="partly").json()["recorded"], True)

    def test_what_all_teams_share_is_an_administrators(self):
        for path in ("/admin/router", "/admin/router/export", "/admin/policy"):
            self.assertEqual(self.stack.get(path).status, 403)
            self.assertEqual(self.stack.get(path, None or "sk-none").status, 401)
            self.assertEqual(self.stack.get(path, harness.ADMIN_KEY).status, 200)
        for path in ("/admin/router/import", "/admin/router/rollback"):
            self.assertEqual(self.stack.post("", path=path).status, 403)
            self.assertEqual(self.stack.get(path, harness.ADMIN_KEY).status, 405)
        damaged = self.stack.post("sluice-learning 2\n...", harness.ADMIN_KEY,
                                  path="/admin/router/import")
        self.assertEqual(damaged.status, 400)
        self.assertEqual(self.stack.get("/admin/router/none", harness.ADMIN_KEY).status, 404)

    def test_asking_the_same_again_at_once_is_kept_but_not_learned(self):
        for n in range(2):
            self.ask("what is the weather like in the hills of my home", f"again-{n}")
        for n in (12, 13):  # another number is another question
            self.ask(f"summarise invoice {n} in one sentence for me", f"invoice-{n}")
        self.stack.gateway.stop()
        database = sqlite3.connect(self.stack.folder / "ledger.db")
        rows = database.execute("SELECT request_id, kind, score, learned FROM outcomes").fetchall()
        database.close()
        self.assertEqual(rows, [("again-0", "regenerated", 0.0, 0)])

    def test_what_an_answer_shows_by_itself_is_learned_whole_and_streamed(self):
        any_json = {"response_format": {"type": "json_object"}}
        schema = {"type": "object", "required": ["simulated"],
                  "properties": {"simulated": {"type": "string"}}}
        of_schema = {"response_format": {"type": "json_schema", "json_schema":
                                         {"name": "it", "schema": schema}}}
        tools = {"tools": [{"type": "function", "function": {"name": "find"}}]}
        asked = [("json", "[[sim json]]", any_json, ("schema", 1)),
                 ("prose", "hello", any_json, ("schema", 0)),
                 ("no-text", "[[sim json]]", of_schema, ("schema", 0)),
                 ("called", "[[sim tool=find]]", tools, ("tool_call", 1)),
                 ("cut-call", "[[sim tool=find reasoning_tokens=0]]",
                  {**tools, "max_tokens": 2}, ("tool_call", 0)),
                 ("not-called", "hello", tools, None),
                 ("not-asked", "hello", {}, None)]
        wanted = []
        for name, prompt, fields, shows in asked:
            for stream in (False, True):
                request_id = f"{name}-{'stream' if stream else 'whole'}"
                body = {"model": "open", "stream": stream, **fields,
                        "messages": [{"role": "user", "content": f"{request_id} {prompt}"}]}
                answer = self.stack.post(json.dumps(body), headers={"x-request-id": request_id})
                self.assertEqual(answer.status, 200, answer.body)
                wanted += [(request_id, *shows, 1)] if shows else []
        called = self.stack.chat("[[sim tool=find]]", model="frontier", stream=True, **tools,
                                 headers={"x-request-id": "called-elsewhere"})  # another dialect
        self.assertEqual(called.status, 200, called.body)
        wanted.append(("called-elsewhere", "tool_call", 1, 1))
        cut = self.ask("[[sim json reasoning_tokens=0 close_after=2]]", "cut", stream=True,
                       **any_json)
        self.assertIn(b"error", cut.body)
        metrics = self.stack.get("/metrics").body.decode()
        self.assertIn('sluice_feedback_total{kind="schema",result="learned"} 6', metrics)
        self.assertIn('sluice_feedback_total{kind="tool_call",result="learned"} 5', metrics)
        self.stack.gateway.stop()
        database = sqlite3.connect(self.stack.folder / "ledger.db")
        rows = database.execute("SELECT request_id, kind, score, learned FROM outcomes").fetchall()
        database.close()
        self.assertCountEqual(rows, wanted)

    def test_a_streamed_answer_cut_within_its_text_is_no_cut_thought(self):
        for name, tokens in (("thought", 20), ("text", 40)):  # the thought has 32
            answer = self.stack.chat(f"{name} [[sim reasoning_tokens=32]]", stream=True,
                                     max_tokens=tokens, headers={"x-request-id": name})
            self.assertEqual(answer.status, 200, answer.body)
        self.stack.gateway.stop()
        database = sqlite3.connect(self.stack.folder / "ledger.db")
        rows = database.execute("SELECT request_id, kind FROM outcomes").fetchall()
        database.close()
        self.assertEqual(rows, [("thought", "cut_thought")])


class NoLearning(unittest.TestCase):
    def test_a_gateway_that_does_not_learn_says_so(self):
        with harness.Stack() as stack:
            body = json.dumps({"request_id": "x", "thumb": "up"})
            answer = stack.post(body, path="/v1/feedback")
            self.assertEqual(answer.status, 404)
            self.assertIn("does not learn", answer.json()["error"]["message"])


if __name__ == "__main__":
    harness.main()
