"""chat, with and without a terminal."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

from harness import BINARY, CliTest, environment, golden, main

COMMON = ["--temperature", "0", "--ctx", "512"]


class Terminal:
    """The binary on a pseudo-terminal."""

    def __init__(self, arguments, folder):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen([BINARY, *map(str, arguments)], stdin=slave, stdout=slave, stderr=slave,
                                        start_new_session=True, preexec_fn=lambda: _own_terminal(),
                                        env=environment(TERM="xterm", HOME=str(folder)))
        os.close(slave)
        self.seen = ""

    def send(self, text):
        os.write(self.master, text.encode())

    def expect(self, pattern, timeout=60):
        """What came up to the end of the first match of `pattern`."""
        end = time.monotonic() + timeout
        while True:
            match = re.search(pattern, self.seen, re.DOTALL)
            if match:
                before, self.seen = self.seen[:match.end()], self.seen[match.end():]
                return before
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise AssertionError(f"no {pattern!r} in {self.seen!r}")
            try:
                self.seen += os.read(self.master, 65536).decode(errors="replace")
            except OSError:
                raise AssertionError(f"ended without {pattern!r}: {self.seen!r}") from None

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)


def _own_terminal():
    import fcntl
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Piped(CliTest):
    def test_whole_stdin_is_one_message(self):
        model = golden("arch/llama/model.gguf")
        done = self.run_binary("chat", model, "-n", 8, *COMMON, stdin="Hello\nyou")
        self.assertTrue(done.stdout.decode().endswith("\n"))
        prompt = self.json("generate", "-m", model, "-p", "Hello\nyou", "--chat", "-n", 8, *COMMON, "--json")
        self.assertEqual(done.stdout.decode().rstrip("\n"), prompt["text"].rstrip("\n"))

    def test_message_that_is_too_long(self):
        line = self.run_binary("chat", golden("arch/llama/model.gguf"), "--ctx", 32, code=1, stdin="word " * 100)
        self.assertIn("--ctx", line.stderr.decode())

    def test_template_that_cannot_be_parsed(self):
        broken = golden("malformed/valid-bad-chat-template.gguf")
        self.assertIn("chat_template", self.failure("chat", broken, stdin="x"))


class Interactive(CliTest):
    def chat(self, *arguments):
        terminal = Terminal(["chat", *arguments], self.folder)
        self.addCleanup(terminal.close)
        terminal.expect("/help")
        terminal.expect("> ")
        return terminal

    STATUS = r"prompt (\d+) tokens, (\d+) of them cached; context \d+ of \d+\]"

    def test_turns_reuse_the_prefix(self):
        chat = self.chat(golden("arch/llama/model.gguf"), "-n", "9", "--page", "8", *COMMON)
        chat.send("Tell me a story\r")
        first = re.search(self.STATUS, chat.expect(self.STATUS))
        chat.expect("> ")
        chat.send("And another\r")
        second = re.search(self.STATUS, chat.expect(self.STATUS))
        self.assertEqual(int(first[2]), 0)
        # All but the last page of the first prompt and its answer, whatever text they decode to.
        self.assertGreaterEqual(int(second[2]), (int(first[1]) - 8) // 8 * 8)
        chat.expect("> ")
        chat.send("/exit\r")
        self.assertEqual(chat.process.wait(60), 0)

    def test_commands(self):
        chat = self.chat(golden("arch/llama/model.gguf"), "-n", "4", *COMMON)
        saved = self.folder / "saved.json"
        for line, answer in (("/help", "/reset"), ("/system Be brief.", "is set"), ("Hello", self.STATUS),
                             (f"/save {saved}", "3 messages"), ("/reset", "forgotten"), (f"/load {saved}", "3 messages"),
                             ("/load /nowhere", "/nowhere"), ("/save", "file name"), ("/nonsense", "no such command")):
            chat.send(line + "\r")
            chat.expect(re.escape(line))
            chat.expect(answer)
            chat.expect("> ")
        messages = json.loads(saved.read_text())
        self.assertEqual([m["role"] for m in messages], ["system", "user", "assistant"])
        self.assertEqual(messages[1]["content"], "Hello")
        chat.send("/exit\r")
        self.assertEqual(chat.process.wait(60), 0)

    def test_end_of_input(self):
        chat = self.chat(golden("arch/llama/model.gguf"), "-n", "4", *COMMON)
        # Before the terminal has changed modes, it would be the terminal that takes it.
        while termios.tcgetattr(chat.master)[3] & termios.ICANON:
            time.sleep(0.01)
        chat.send("\x04")
        self.assertEqual(chat.process.wait(60), 0)

    def test_messages_of_several_lines(self):
        chat = self.chat(golden("arch/llama/model.gguf"), "-n", "2", *COMMON)
        saved = self.folder / "saved.json"
        for typed in ("\x1b[200~pasted\rtext\x1b[201~\r", "one \\\rtwo\r", '"""\rquoted\r\rtext\r"""\r'):
            chat.send(typed)
            chat.expect(self.STATUS)
            chat.expect("> ")
        chat.send(f"/save {saved}\r")
        chat.expect("6 messages")
        messages = json.loads(saved.read_text())
        self.assertEqual([m["content"] for m in messages if m["role"] == "user"],
                         ["pasted\ntext", "one \ntwo", "quoted\n\ntext"])

    def test_interrupt_stops_the_answer_only(self):
        # The reference is slow enough to be caught in the middle of an answer.
        chat = self.chat(golden("arch/llama/model.gguf"), "--device", "reference", "--logit-bias", "65=1e9",
                         "--log-level", "error", "--temperature", "0", "--ctx", "50000")
        chat.send("Hello\r")
        chat.expect("Hello")
        time.sleep(0.5)
        chat.send("\x03")
        status = re.search(r"\[(\d+) tokens", chat.expect(self.STATUS))
        self.assertLess(int(status[1]), 49000)
        chat.expect("> ")
        for _ in range(10):  # the terminal is the line editor's a moment after the prompt
            chat.send("half a line\x03")
            try:
                chat.expect("> ", timeout=10)
                break
            except AssertionError:
                continue
        chat.send("/help\r")
        chat.expect("/reset")
        chat.send("/exit\r")
        self.assertEqual(chat.process.wait(60), 0)

    def test_control_characters_do_nothing(self):
        for word in ("chat", "generate"):
            command = ["chat"] if word == "chat" else ["generate", "-p", "Hi"]
            terminal = Terminal([*command, "-m", golden("arch/llama/model.gguf"), "-n", "3", "--logit-bias", "27=1e9", *COMMON],
                                self.folder)  # the escape character
            self.addCleanup(terminal.close)
            if word == "chat":
                terminal.expect("> ")
                terminal.send("Hi\r")
            self.assertNotIn("\x1b\x1b", terminal.expect("\ufffd{3}"))

    def test_full_context(self):
        chat = self.chat(golden("arch/llama/model.gguf"), "--temperature", "0", "--ctx", "96", "--logit-bias", "65=1e9")
        chat.send("Hello\r")
        chat.expect("context is full")
        chat.expect("> ")
        chat.send("More\r")
        chat.expect("/reset")
        chat.expect("> ")
        chat.send("/reset\r")
        chat.expect("forgotten")
        chat.send("Hello\r")
        chat.expect(self.STATUS)


class Interrupt(CliTest):
    def test_generate_exits_with_130(self):
        process = subprocess.Popen([BINARY, "generate", "-m", golden("arch/llama/model.gguf"), "-p", "Hello", "--device",
                                    "reference", "--ctx", "100000", "--ignore-eos", "--log-level", "error"],
                                   stdout=subprocess.PIPE, env=environment(), start_new_session=True)
        process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        self.assertEqual(process.wait(60), 130)
        process.stdout.close()


if __name__ == "__main__":
    main()
