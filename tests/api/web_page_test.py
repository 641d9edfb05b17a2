"""The page in a real browser: send, stream, stop, regenerate, edit, reload, settings, hostile text. RF_SCREENSHOTS names a
folder for pictures."""
import base64
import itertools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from harness import ApiTest, main

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """Headless Chromium over its debugging pipe (the DevTools protocol)."""

    def __init__(self, width=1280, height=800):
        self.folder = tempfile.mkdtemp()
        read_end, self.out = os.pipe()
        self.into, write_end = os.pipe()

        def hand_over():
            spare = [os.dup(read_end), os.dup(write_end)]
            os.dup2(spare[0], 3)
            os.dup2(spare[1], 4)

        self.process = subprocess.Popen(
            [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             f"--user-data-dir={self.folder}", "--remote-debugging-pipe", f"--window-size={width},{height}", "about:blank"],
            preexec_fn=hand_over, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(read_end)
        os.close(write_end)
        self.numbers, self.rest, self.session, self.problems, self.requests = itertools.count(1), b"", None, [], []
        pages = [t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page"]
        self.session = self.call("Target.attachToTarget", targetId=pages[0]["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def receive(self):
        while b"\0" not in self.rest:
            data = os.read(self.into, 1 << 20)
            if not data:
                raise AssertionError("the browser has ended")
            self.rest += data
        message, self.rest = self.rest.split(b"\0", 1)
        event = json.loads(message)
        if event.get("method") == "Runtime.exceptionThrown":
            self.problems.append(event["params"]["exceptionDetails"])
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(event["params"]["request"]["url"])
        return event

    def call(self, method, **params):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params} | ({"sessionId": self.session} if self.session else {})
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while (event := self.receive()).get("id") != number:
            pass
        if "error" in event:
            raise AssertionError(f"{method}: {event['error']}")
        return event["result"]

    def run(self, script):
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise AssertionError(result["exceptionDetails"])
        return result["result"].get("value")

    def wait(self, script, timeout=60):
        end = time.monotonic() + timeout
        while not (value := self.run(script)):
            if time.monotonic() > end:
                raise AssertionError(f"never true: {script}\n{self.run('document.body.innerText')}")
            time.sleep(0.03)
        return value

    def key(self, name, code, modifiers=0):
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code,
                      modifiers=modifiers, **({"text": "\r"} if name == "Enter" and kind == "keyDown" else {}))

    def picture(self, name):
        if folder := os.environ.get("RF_SCREENSHOTS"):
            data = self.call("Page.captureScreenshot", format="png")["data"]
            (pathlib.Path(folder) / f"{name}.png").write_bytes(base64.b64decode(data))

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.out)
        os.close(self.into)
        shutil.rmtree(self.folder, ignore_errors=True)


class WebPage(ApiTest):
    OPTIONS = ()

    def setUp(self):
        self.browser = Browser()
        self.addCleanup(self.browser.close)
        self.open()

    def open(self):
        self.browser.call("Page.navigate", url=self.server.url + "/")
        self.browser.wait("document.readyState === 'complete' && document.querySelector('#model')?.options.length > 0")

    def say(self, text):
        self.browser.run("document.querySelector('#text').focus()")
        self.browser.call("Input.insertText", text=text)
        self.browser.key("Enter", 13)

    def settings(self, **values):
        for name, value in values.items():
            self.browser.run(f"document.querySelector('#{name}').value = {json.dumps(str(value))};"
                             f"document.querySelector('#{name}').dispatchEvent(new Event('input'))")

    IDLE = "document.querySelector('#stop').hidden"
    TURNS = "[...document.querySelectorAll('.turn')].map(t => [t.classList[1], t.querySelector('.body').innerText])"

    def test_click_through(self):
        browser = self.browser
        self.settings(max_tokens=24, temperature=0, seed=1)
        browser.picture("empty")
        self.say("Hello there")
        browser.wait("document.querySelectorAll('.turn').length === 2 && " + self.IDLE)
        turns = browser.run(self.TURNS)
        self.assertEqual(turns[0], ["user", "Hello there"])
        self.assertTrue(turns[1][1].strip())
        self.assertRegex(browser.run("document.querySelector('.turn.assistant .speed')?.innerText ?? ''"), r"\d+ tokens, [\d.]+ tokens/s")
        browser.picture("answered")
        # Regenerate: greedy, hence the same.
        browser.run("[...document.querySelectorAll('.turn.assistant button')].find(b => b.innerText === 'Regenerate').click()")
        browser.wait("document.querySelectorAll('.turn').length === 2 && " + self.IDLE + " && !!document.querySelector('.turn.assistant .speed')")
        self.assertEqual(browser.run(self.TURNS), turns)
        # A reload keeps the chat.
        self.open()
        self.assertEqual(browser.run(self.TURNS), turns)
        # Edit takes the message back.
        browser.run("[...document.querySelectorAll('.turn.user button')].find(b => b.innerText === 'Edit').click()")
        self.assertEqual(browser.run("document.querySelector('#text').value"), "Hello there")
        self.assertEqual(browser.run(self.TURNS), [])
        # A second conversation, and back to dark and light.
        self.say(" again")
        browser.wait("document.querySelectorAll('.turn').length === 2 && " + self.IDLE)
        browser.run("document.querySelector('#new').click()")
        self.assertEqual(browser.run("document.querySelectorAll('#chats li').length"), 2)
        before = browser.run("document.documentElement.dataset.theme")
        browser.run("document.querySelector('#theme').click()")
        self.assertNotEqual(browser.run("document.documentElement.dataset.theme"), before)
        browser.run("document.querySelectorAll('#chats li button')[2].click()")
        browser.wait("document.querySelectorAll('.turn').length === 2")
        browser.picture("dark")
        browser.wait("document.querySelector('.chart output').innerText !== '–'")
        self.assertEqual(browser.problems, [])
        self.assertTrue(all(u.startswith((self.server.url, "data:", "about:")) for u in browser.requests), browser.requests)

    def test_stop(self):
        self.settings(temperature=0)
        self.browser.run("{ const f = window.fetch; window.fetch = (u, o) => f(u, o?.body ? {...o, body: "
                         "JSON.stringify({...JSON.parse(o.body), ignore_eos: true})} : o); }")
        self.say("Go on for long")
        self.browser.wait("document.querySelector('.turn.assistant .body')?.innerText.length > 40")
        self.browser.key("Escape", 27)
        self.browser.wait(self.IDLE)
        text = self.browser.run(self.TURNS)[1][1]
        time.sleep(0.3)
        self.assertEqual(self.browser.run(self.TURNS)[1][1], text)
        end = time.monotonic() + 60
        while self.server.request("GET", "/status")[1]["requests"]:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.02)

    def test_hostile_text_and_markdown(self):
        text = ("# Title\\n<img src=x onerror=alert(1)> **bold** `a<b` [x](javascript:alert(1)) [y](https://example.org)\\n\\n"
                "```js\\nlet x = '<script>';\\n```\\n- one\\n- two\\n\\n| a | b |\\n| - | - |\\n| 1 | 2 |")
        html = self.browser.run("(() => { const d = document.createElement('div'); markdown(" + json.dumps(text.replace("\\n", "\n")) + ", d); return d.innerHTML; })()")
        for wanted in ("<h3>Title</h3>", "&lt;img src=x", "<strong>bold</strong>", "<code>a&lt;b</code>", "<li>one</li>",
                       "<td>1</td>", "let x = '&lt;script&gt;';", 'href="https://example.org"'):
            self.assertIn(wanted, html)
        self.assertNotIn("<img", html)
        self.assertNotIn('href="javascript', html)

    def test_narrow(self):
        self.browser.call("Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=2, mobile=True)
        self.settings(max_tokens=8)
        self.say("On a telephone")
        self.browser.wait("document.querySelectorAll('.turn').length === 2 && " + self.IDLE)
        self.assertLessEqual(self.browser.run("document.documentElement.scrollWidth"), 390)
        self.browser.picture("narrow")
        self.browser.run("document.querySelector('[data-open=right]').click()")
        self.assertTrue(self.browser.run("document.querySelector('#right').classList.contains('open')"))
        self.browser.picture("narrow-settings")


if __name__ == "__main__":
    if CHROMIUM is None:
        print("skip: there is no Chromium here")
        sys.exit(77)
    main()
