"""SIGUSR2: the gateway starts anew in its place; nobody is refused, nothing is lost. And a socket
that systemd would hand it."""
import os
import signal
import socket
import subprocess
import threading
import unittest

import harness

CLIENTS = 4


class Load:
    """Clients that ask, each time on a new connection, until told to stop."""

    def __init__(self, stack):
        self.stack = stack
        self.answers = []
        self.faults = []
        self.ending = False
        self.moved = threading.Condition()
        self.threads = [threading.Thread(target=self.ask) for _ in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def ask(self):
        while not self.ending:
            try:
                answer = self.stack.chat("[[sim tokens=9 inter_token_ms=0.2]]")
            except (OSError, harness.http.client.HTTPException) as fault:
                self.faults.append(repr(fault))
                return
            with self.moved:
                self.answers.append((answer.status, answer.headers["x-request-id"]))
                self.moved.notify_all()

    def wait_for_more(self, count):
        with self.moved:
            wanted = len(self.answers) + count
            if not self.moved.wait_for(lambda: len(self.answers) >= wanted, harness.WAIT_S):
                raise AssertionError(f"{len(self.answers)} answers came; {self.faults}")

    def end(self):
        self.ending = True
        for thread in self.threads:
            thread.join(harness.WAIT_S)


class Restart(unittest.TestCase):
    def lives(self, stack):
        return [line for line in stack.gateway.lines if line.get("event") == "listening"]

    def restart(self, stack):
        before = len(self.lives(stack))
        stack.gateway.child.send_signal(signal.SIGUSR2)
        with stack.gateway.moved:
            came = stack.gateway.moved.wait_for(
                lambda: len(self.lives(stack)) > before or stack.gateway.ended, harness.WAIT_S)
        self.assertTrue(came and not stack.gateway.ended, stack.gateway.error_text())
        life = self.lives(stack)[-1]
        self.assertTrue(life["restarted"])
        self.assertEqual(life["address"], stack.gateway.address)

    def test_nobody_is_refused_and_every_answer_is_booked_once(self):
        with harness.Stack(edit=lambda text: text + "io_threads: 2\n") as stack:
            self.assertFalse(self.lives(stack)[0]["restarted"])
            process = stack.gateway.child.pid
            long_one = []
            stream = threading.Thread(target=lambda: long_one.append(stack.chat(
                "[[sim tokens=200 inter_token_ms=4]]", stream=True)))
            stream.start()
            load = Load(stack)
            load.wait_for_more(20)
            for _ in range(3):
                self.restart(stack)
                load.wait_for_more(20)
            load.end()
            stream.join(harness.WAIT_S)
            self.assertEqual(load.faults, [])
            self.assertEqual({status for status, _ in load.answers}, {200})
            self.assertEqual(long_one[0].events()[-1:], ["[DONE]"])
            self.assertEqual(stack.gateway.child.pid, process)
            stack.gateway.stop()
            booked = [row["request_id"] for row in stack.rows() if row["answered"]]
            asked = [request for _, request in load.answers]
            asked.append(long_one[0].headers["x-request-id"])
            self.assertEqual(sorted(booked), sorted(asked))

    def test_signals_at_any_moment_end_nothing(self):
        with harness.Stack() as stack:
            load = Load(stack)
            while len(self.lives(stack)) < 6:
                stack.gateway.child.send_signal(signal.SIGHUP)
                stack.gateway.child.send_signal(signal.SIGUSR2)
                self.assertIsNone(stack.gateway.child.poll(), stack.gateway.error_text())
                load.wait_for_more(1)  # each HUP is a reload: a thousand at once take long
            load.wait_for_more(20)
            load.end()
            self.assertEqual(load.faults, [])
            self.assertEqual({status for status, _ in load.answers}, {200})

    def refused(self, stack, change):
        config = stack.folder / "config.yaml"
        config.write_text(change(stack.config_text))
        before = sum(line.get("event") == "restart_refused" for line in stack.gateway.lines)
        stack.gateway.child.send_signal(signal.SIGUSR2)
        with stack.gateway.moved:
            def all_refused():
                return [line for line in stack.gateway.lines
                        if line.get("event") == "restart_refused"][before:]
            stack.gateway.moved.wait_for(lambda: all_refused() or stack.gateway.ended,
                                         harness.WAIT_S)
            self.assertTrue(all_refused(), stack.gateway.lines[-5:])
            return all_refused()[0]["faults"]

    def test_what_could_not_begin_is_not_begun(self):
        listen = "listen: 127.0.0.1:0\n"
        with harness.Stack(edit=lambda text: text + listen) as stack, \
                socket.create_server(("127.0.0.1", 0)) as taken:
            stack.gateway.stop()
            program = stack.folder / "program"
            program.symlink_to(harness.BUILD / "sluice")
            stack.gateway = harness.Program([program, "serve", "--config",
                                             stack.folder / "config.yaml"])
            port = taken.getsockname()[1]
            fault = self.refused(stack, lambda text: text.replace(
                listen, f"listen: 127.0.0.1:{port}\n"))
            self.assertIn(f"cannot listen on 127.0.0.1:{port}", fault)
            fault = self.refused(stack, lambda text: text.replace("ledger.db",
                                                                  "config.yaml/l.db"))
            self.assertIn("config.yaml/l.db", fault)
            program.unlink()
            self.assertIn("no such program", self.refused(stack, lambda text: text))
            self.assertEqual(stack.chat().status, 200)
            self.assertEqual(len(self.lives(stack)), 1)

    def test_what_only_a_restart_changes_is_taken_up(self):
        with harness.Stack() as stack:
            config = stack.folder / "config.yaml"
            config.write_text(stack.config_text.replace("ledger.db", "other.db"))
            self.restart(stack)
            self.assertEqual(stack.chat().status, 200)
            stack.gateway.stop()
            self.assertTrue((stack.folder / "other.db").exists())
            self.assertEqual(stack.rows(), [])

    def test_a_configuration_with_faults_is_not_started(self):
        with harness.Stack() as stack:
            (stack.folder / "config.yaml").write_text("version: 1\nledger: {url: nowhere}\n")
            stack.gateway.child.send_signal(signal.SIGUSR2)
            refused = stack.gateway.wait_for(lambda line: line.get("event") == "restart_refused")
            self.assertEqual(refused["why"], "SIGUSR2")
            self.assertIn("config.yaml:2:", refused["faults"])
            self.assertEqual(stack.chat().status, 200)
            self.assertEqual(len(self.lives(stack)), 1)

    @unittest.skipUnless(harness.model_file(), "the starter model is not there")
    def test_hosted_tiers_serve_until_the_engine_is_open(self):
        with harness.Stack(engine=True) as stack:
            model = stack.folder / "model.gguf"
            model.symlink_to(harness.model_file())
            config = stack.folder / "config.yaml"
            config.write_text(stack.config_text.replace(str(harness.model_file()), str(model)))
            self.restart(stack)
            stack.gateway.wait_for(lambda line: line.get("event") == "engine_open")
            self.assertEqual(stack.chat("hello", model="local").status, 200)

            damaged = stack.folder / "damaged.gguf"
            damaged.write_bytes(b"GGUF")
            os.replace(damaged, model)
            self.restart(stack)
            why = stack.gateway.wait_for(lambda line: line.get("event") == "engine_not_open")
            self.assertIn("model.gguf", why["message"])
            self.assertEqual(stack.chat("hello", model="open").status, 200)
            answer = stack.chat("hello", model="local-starter")
            self.assertEqual(answer.status, 503, answer.body)
            self.assertIn(b"its engine is not open", answer.body)
            metrics = stack.get("/metrics").body.decode()
            self.assertIn("sluice_engine_up 0", metrics)
            self.assertIn('sluice_upstream_up{upstream="local-starter"} 0', metrics)

            mended = stack.folder / "mended.gguf"
            mended.symlink_to(harness.model_file())
            opened = self.opened(stack)
            os.replace(mended, model)
            stack.gateway.wait_for(lambda line: line.get("event") == "engine_open" and
                                   self.opened(stack) > opened)
            self.assertEqual(stack.chat("hello", model="local-starter").status, 200)

    def opened(self, stack):
        return sum(line.get("event") == "engine_open" for line in stack.gateway.lines)

    def test_an_end_asked_for_meanwhile_is_an_end(self):
        with harness.Stack() as stack:
            answer = []
            stream = threading.Thread(target=lambda: answer.append(stack.chat(
                "[[sim tokens=100 inter_token_ms=100]]", stream=True)))  # ends after the SIGTERM
            stream.start()
            stack.sim.wait(open=1, requests=1)
            stack.gateway.child.send_signal(signal.SIGUSR2)
            stack.gateway.wait_for(lambda line: line.get("event") == "draining")
            stack.gateway.stop()
            stream.join(harness.WAIT_S)
            self.assertEqual(answer[0].events()[-1:], ["[DONE]"])
            self.assertEqual(len(self.lives(stack)), 1)


class HandedSocket(unittest.TestCase):
    def test_it_listens_on_what_it_was_handed(self):
        with harness.Stack(edit=lambda text: text + "io_threads: 2\n") as stack:
            stack.gateway.stop()
            given = socket.create_server(("127.0.0.1", 0))
            port = given.getsockname()[1]
            stack.gateway = harness.Program(
                self.command(stack, given, f"127.0.0.1:{port}"), descriptors=[given.fileno()])
            given.close()
            self.assertEqual(stack.gateway.address, f"127.0.0.1:{port}")
            for _ in range(8):
                self.assertEqual(stack.chat().status, 200)
            Restart.restart(self, stack)
            self.assertEqual(stack.chat().status, 200)

    def test_a_socket_of_another_address_is_refused(self):
        with harness.Stack() as stack, socket.create_server(("127.0.0.1", 0)) as given:
            ran = subprocess.run(self.command(stack, given, "127.0.0.2:0"),
                                 pass_fds=[given.fileno()], capture_output=True, text=True,
                                 timeout=harness.WAIT_S)
            self.assertEqual(ran.returncode, 1)
            self.assertIn("cannot listen on 127.0.0.2:0: the sockets that this process was "
                          "started with listen elsewhere", ran.stderr)

    def test_what_is_no_listening_socket_is_refused(self):
        with harness.Stack() as stack:
            with socket.socket() as given:
                ran = subprocess.run(self.command(stack, given, "127.0.0.1:0"),
                                     pass_fds=[given.fileno()], capture_output=True, text=True,
                                     timeout=harness.WAIT_S)
            self.assertEqual(ran.returncode, 1)
            self.assertIn("descriptor 3 is no listening stream socket", ran.stderr)

    def command(self, stack, given, listen):
        """As systemd would: sockets from descriptor 3 on, LISTEN_PID is the program's own."""
        place = given.fileno()
        move = f"exec 3<&{place} {place}<&-; " if place != 3 else ""
        script = move + 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'
        return ["bash", "-c", script, "bash", harness.BUILD / "sluice", "serve", "--config",
                stack.folder / "config.yaml", "--listen", listen]

    lives = Restart.lives


if __name__ == "__main__":
    harness.main()
