"""Clients that leave at any moment, in both dialects: each request that arrived whole is booked once,
nothing stays held, and the upstream is let go."""
import json
import socket
import struct
import unittest

import harness

DIALECTS = (("/v1/chat/completions", "Authorization: Bearer " + harness.KEY),
            ("/v1/messages", "x-api-key: " + harness.KEY))


def request(path, credential, number):
    body = json.dumps({"model": "open", "stream": True, "max_tokens": 90, "messages": [
        {"role": "user", "content": "[[sim tokens=80 reasoning_tokens=0 inter_token_ms=2]]"}]})
    return (f"POST {path} HTTP/1.1\r\nHost: x\r\n{credential}\r\nx-request-id: leaver-{number}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


class ClientsLeave(unittest.TestCase):
    def setUp(self):
        self.stack = self.enterContext(harness.Stack(
            edit=lambda text: text + "budgets: {limits: [{all: true, per: total, usd: '9'}]}\n"))
        host, port = self.stack.gateway.address.rsplit(":", 1)
        self.place = (host, int(port))

    def leave(self, sent, after, how):
        """Goes once `after` bytes of the answer came."""
        with socket.create_connection(self.place, timeout=harness.WAIT_S) as client:
            client.sendall(sent)
            while after > 0:
                came = len(client.recv(4096))
                self.assertGreater(came, 0)
                after -= came
            if how == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if how == "half":
                client.shutdown(socket.SHUT_WR)
                while client.recv(4096):
                    pass

    def test_each_request_that_came_whole_is_booked_once(self):
        asked = []
        for path, credential in DIALECTS:
            for after in (0, 1, 300, 900, 1_500):
                for how in ("close", "reset", "half"):
                    if how == "reset" and after == 0:
                        continue  # a reset may overtake the request itself
                    asked.append(f"leaver-{len(asked)}")
                    self.leave(request(path, credential, len(asked) - 1), after, how)
            whole = request(path, credential, "never")
            for cut in (4, whole.index(b"\r\n\r\n"), len(whole) - 1):
                self.leave(whole[:cut], 0, "close")
        answer = self.stack.chat("still there?", headers={"x-request-id": "last"})
        self.assertEqual(answer.status, 200)
        self.stack.sim.wait(open=0)
        self.stack.gateway.stop()
        rows = self.stack.rows()
        self.assertEqual(sorted(row["request_id"] for row in rows), sorted(asked + ["last"]))
        # On a slow machine an answer may have ended before its client left.
        self.assertLessEqual({row["outcome"] for row in rows}, {"cancelled", "ok"})
        self.stack.start()
        budget, = self.stack.get("/admin/policy", harness.ADMIN_KEY).json()["budgets"]
        self.assertEqual(int(budget["spent_usd"] * 10 ** 12),
                         sum(row["cost_pico_usd"] for row in rows))
        self.assertEqual(budget["held_usd"], 0)


if __name__ == "__main__":
    harness.main()
