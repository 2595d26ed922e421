"""What goes wrong upstream: fallback before the first byte of an answer, an error after it."""
import http.client
import json
import unittest

import harness


class Upstreams(unittest.TestCase):
    def setUp(self):
        # A stack for each: an upstream that failed rests, which would show in the next test.
        self.stack = self.enterContext(harness.Stack(edit=self.edit))
        self.sim = self.stack.sim

    def edit(self, text):
        return text

    def outcomes(self):
        """(upstream, outcome, answered) of every attempt, in order."""
        self.stack.gateway.stop()
        return [(row["upstream"], row["outcome"], row["answered"]) for row in self.stack.rows()]

    def answered_by_spare(self, directive, outcome, streamed=(False, True), closes=False):
        for stream in streamed:
            self.sim.plan(directive, model="sim-reasoner")
            answer = self.stack.chat("hi", stream=stream)
            self.assertEqual(answer.status, 200, answer.body)
            self.assertEqual(answer.headers["x-sluice-upstream"], "open-spare")
            self.assertIn(answer.headers["x-sluice-attempts"], ("2", "3") if closes else ("2",))
            self.assertIn("simulated", answer.text())
            if outcome == "rate_limited":  # it rests now, the next one would not ask it
                break
        rows = self.outcomes()
        # Both upstreams are one server. Where it `closes` the connection after the fault, the spare's
        # first try may meet that one, and is a row like any other.
        lost = ("open-spare", "upstream_failed", 0)
        told = [row for row in rows if row != lost]
        self.assertEqual(told[:2], [("open-sim", outcome, 0), ("open-spare", "ok", 1)])
        self.assertLessEqual(len(rows) - len(told), len(streamed) if closes else 0)
        return told

    def breaks_in_the_stream(self, directive, outcome):
        answer = self.stack.chat(f"hi [[sim tokens=9 reasoning_tokens=0 {directive}]]",
                                 stream=True)
        self.assertEqual(answer.status, 200)
        *parts, last = answer.events()
        self.assertIn("simulated", "".join(one["choices"][0]["delta"].get("content") or ""
                                           for one in parts))
        self.assertIn("message", last["error"])
        self.assertNotIn("[DONE]", answer.body.decode())
        self.stack.gateway.stop()
        (row,) = self.stack.rows()  # no second attempt
        self.assertEqual((row["outcome"], row["answered"]), (outcome, 1))
        self.assertIn(row["out_text"], range(4, 11))  # 4 deltas, 40 bytes
        self.assertEqual(row["usage_estimated"], 1)
        self.assertGreater(row["cost_pico_usd"], 0)


class Faults(Upstreams):
    def test_a_429_falls_back_and_rests_the_upstream(self):
        self.answered_by_spare("fault=429 retry_after=30", "rate_limited")

    def test_while_an_upstream_rests_it_is_not_asked(self):
        self.sim.plan("fault=429 retry_after=30", model="sim-reasoner")
        self.stack.chat("hi")
        asked = self.sim.stats()["requests"]
        answer = self.stack.chat("hi again")
        self.assertEqual(answer.headers["x-sluice-upstream"], "open-spare")
        self.assertEqual(answer.headers["x-sluice-attempts"], "1")
        self.assertEqual(self.sim.stats()["requests"], asked + 1)
        self.assertIn('sluice_upstream_up{upstream="open-sim"} 0',
                      self.stack.get("/metrics").body.decode())

    def test_a_500_falls_back(self):
        self.answered_by_spare("fault=500", "upstream_failed")

    def test_a_refused_credential_falls_back(self):
        self.answered_by_spare("fault=401", "upstream_auth")

    def test_a_reset_before_the_answer_falls_back(self):
        self.answered_by_spare("fault=reset", "upstream_failed", streamed=[False])

    def test_a_reset_before_a_streamed_answer_falls_back(self):
        self.answered_by_spare("fault=reset", "upstream_failed", streamed=[True])

    def test_a_call_on_a_kept_connection_that_breaks_is_made_again_and_booked_twice(self):
        self.stack.chat("hi")
        self.sim.plan("fault=reset", model="sim-reasoner")
        answer = self.stack.chat("hi")
        self.assertEqual(answer.headers["x-sluice-upstream"], "open-sim")
        self.assertEqual(answer.headers["x-sluice-attempts"], "2")
        self.assertEqual(self.outcomes(), [("open-sim", "ok", 1), ("open-sim", "upstream_failed", 0),
                                           ("open-sim", "ok", 1)])

    def test_a_reset_after_the_head_but_before_a_token_falls_back(self):
        self.answered_by_spare("reset_after=0", "upstream_failed", streamed=[True])

    def test_a_malformed_answer_falls_back(self):
        self.answered_by_spare("fault=malformed", "upstream_failed", streamed=[False], closes=True)

    def test_a_malformed_event_before_a_token_falls_back(self):
        self.answered_by_spare("malformed_after=0", "upstream_failed", streamed=[True], closes=True)

    def test_a_wrong_content_type_falls_back(self):
        self.answered_by_spare("fault=wrong_type", "upstream_failed")

    def test_an_error_event_before_a_token_falls_back(self):
        self.answered_by_spare("error_after=0", "upstream_failed", streamed=[True], closes=True)

    def test_the_request_that_the_upstream_finds_wrong_is_not_tried_again(self):
        answer = self.stack.chat("hi [[sim fault=400]]")
        self.assertEqual(answer.status, 400)
        self.assertEqual(self.sim.stats()["requests"], 1)
        self.assertEqual(answer.json()["error"]["type"], "invalid_request_error")

    def test_when_all_fail_the_answer_names_what_was_tried(self):
        answer = self.stack.chat("hi [[sim fault=500]]")
        self.assertEqual(answer.status, 502)
        message = answer.json()["error"]["message"]
        for upstream in ("open-sim", "open-spare"):
            self.assertIn(upstream, message)
        self.assertEqual(answer.headers["x-sluice-attempts"], "2")

    def test_when_all_are_limited_the_answer_is_503_with_retry_after(self):
        answer = self.stack.chat("hi [[sim fault=429 retry_after=7]]")
        self.assertEqual(answer.status, 503)
        self.assertEqual(answer.headers["retry-after"], "7")
        self.assertEqual(answer.json()["error"]["code"], "no_upstream")

    def test_a_reset_in_the_stream_is_its_last_event(self):
        self.breaks_in_the_stream("reset_after=4", "upstream_failed")

    def test_an_upstream_that_cuts_stream_after_stream_rests(self):
        # It rests a second at first, then ever longer: a slow machine may ask again after that.
        answered_by = []
        while len(answered_by) < 10 and "open-spare" not in answered_by:
            self.sim.plan("reset_after=4", model="sim-reasoner")
            answer = self.stack.chat("hi", stream=True)
            self.assertEqual(answer.status, 200)
            answered_by.append(answer.headers["x-sluice-upstream"])
        self.assertEqual(answered_by[:3], ["open-sim"] * 3)
        self.assertEqual(answered_by[-1], "open-spare")

    def test_a_stream_cut_without_its_end_is_an_error(self):
        self.breaks_in_the_stream("close_after=4", "upstream_failed")

    def test_a_malformed_event_in_the_stream_is_an_error(self):
        self.breaks_in_the_stream("malformed_after=4", "upstream_failed")

    def test_an_error_event_in_the_stream_is_passed_on(self):
        self.breaks_in_the_stream("error_after=4", "upstream_failed")

    def test_a_client_that_leaves_frees_the_upstream_and_pays_for_what_came(self):
        for stream in (True, False):
            aborted = self.sim.stats()["aborted"]
            connection = http.client.HTTPConnection(self.stack.gateway.address,
                                                    timeout=harness.WAIT_S)
            connection.request("POST", "/v1/chat/completions", json.dumps({
                "model": "open", "stream": stream, "messages": [{"role": "user", "content":
                    "hi [[sim tokens=5000 reasoning_tokens=0 inter_token_ms=3]]"}]}),
                {"Authorization": "Bearer " + harness.KEY})
            if stream:
                response = connection.getresponse()
                while b"simulated" not in response.readline():
                    pass
                response.close()
            else:
                self.sim.wait(requests=2)  # it is being answered
            connection.close()
            self.sim.wait(aborted=aborted + 1, open=0)
        self.stack.gateway.stop()
        streamed, whole = self.stack.rows()
        self.assertEqual((streamed["outcome"], whole["outcome"]), ("cancelled", "cancelled"))
        self.assertGreater(streamed["out_text"], 0)
        self.assertGreater(streamed["cost_pico_usd"], 0)
        self.assertGreater(whole["in_uncached"], 0)


class Stalls(Upstreams):
    def edit(self, text):
        # The upstream that stalls only; long enough for a slow machine's four tokens.
        return text.replace("first_token_ms: 120000, inter_token_ms: 120000",
                            "first_token_ms: 4000, inter_token_ms: 4000")

    def test_a_stall_before_the_first_token_falls_back(self):
        self.answered_by_spare("fault=stall", "timed_out", streamed=[True])
        self.sim.wait(open=0)

    def test_a_stall_after_the_head_falls_back(self):
        self.answered_by_spare("stall_after=0", "timed_out", streamed=[True])
        self.sim.wait(open=0)

    def test_a_stall_in_the_stream_is_timed_out(self):
        self.breaks_in_the_stream("stall_after=4", "timed_out")
        self.sim.wait(open=0)


class UnknownHost(unittest.TestCase):
    def test_an_upstream_whose_name_nobody_knows_falls_back(self):
        name = "a" * 64 + ".invalid"  # too long for DNS: no network is asked

        def rename(text):
            head, _, rest = text.partition("base_url: http://127.0.0.1")
            return head + "base_url: http://" + name + rest

        with harness.Stack(edit=rename) as stack:
            answer = stack.chat("hi")
            self.assertEqual(answer.status, 200, answer.body)
            self.assertEqual(answer.headers["x-sluice-upstream"], "open-spare")
            self.assertEqual(answer.headers["x-sluice-attempts"], "2")
            alone = stack.chat("hi", "open-sim")
            self.assertEqual(alone.status, 502, alone.body)
            self.assertIn(name, alone.json()["error"]["message"])
            stack.gateway.stop()
            self.assertEqual([row["outcome"] for row in stack.rows()],
                             ["upstream_failed", "ok", "upstream_failed"])


if __name__ == "__main__":
    harness.main()
