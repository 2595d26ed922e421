"""kill -9 under load: every answer that a client saw complete has its ledger row."""
import threading
import unittest

import harness

CLIENTS = 8
ANSWERS = 150


class Load:
    """Clients that ask until the gateway is gone, and remember what they saw complete."""

    def __init__(self, stack):
        self.stack = stack
        self.complete = []
        self.moved = threading.Condition()
        self.threads = [threading.Thread(target=self.ask, args=(n,)) for n in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def ask(self, number):
        stream = number % 2 == 0
        while True:
            try:
                answer = self.stack.chat("[[sim tokens=20 inter_token_ms=0.2]]", stream=stream)
            except (OSError, harness.http.client.HTTPException):
                return  # it was killed
            if stream and answer.events()[-1:] != ["[DONE]"]:
                return
            with self.moved:
                self.complete.append((answer.status, answer.headers["x-request-id"]))
                self.moved.notify_all()

    def wait(self, answers):
        with self.moved:
            if not self.moved.wait_for(lambda: len(self.complete) >= answers, harness.WAIT_S):
                raise AssertionError(f"only {len(self.complete)} answers came")

    def join(self):
        for thread in self.threads:
            thread.join(harness.WAIT_S)


class Crash(unittest.TestCase):
    def test_every_complete_answer_has_its_row_after_kill_9(self):
        with harness.Stack() as stack:
            for round_number in range(2):
                load = Load(stack)
                load.wait(ANSWERS)
                stack.gateway.kill()
                load.join()
                self.assertEqual({status for status, _ in load.complete}, {200})
                stack.start()  # opens the same ledger, whatever state it was left in
                answer = stack.chat("still there?")
                self.assertEqual(answer.status, 200)
                seen = {request for _, request in load.complete}
                rows = {row["request_id"]: row for row in stack.rows() if row["answered"]}
                self.assertEqual(seen - rows.keys(), set(), f"round {round_number}")
                for request in seen:
                    self.assertEqual(rows[request]["outcome"], "ok")
                    self.assertGreater(rows[request]["cost_pico_usd"], 0)


if __name__ == "__main__":
    harness.main()
