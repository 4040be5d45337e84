"""What the browser tests stand on: a suite of their own, a Chromium driven over the WebDriver protocol, and conditions to wait for.

Nothing but the standard library. A test file has subclasses of Case and ends in harness.main(); it prints TAP.
Environment: BUILD, the build tree (default build/); BROWSER_PATIENCE, seconds to wait for a condition (default 60).
"""
import base64
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("BUILD", os.path.join(ROOT, "build")))
PATIENCE = float(os.environ.get("BROWSER_PATIENCE", "60"))
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def wait_for(condition, what, patience=PATIENCE):
    """The first true value of condition(); what (or what() then) says what did not come. Polls, because neither the page nor the suite can call us."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"gave up waiting for {what() if callable(what) else what}")
        time.sleep(0.05)


def end_process(process, group=False):
    """SIGTERM, then SIGKILL for what does not hear."""
    if process.poll() is not None:
        return
    kill = (lambda s: os.killpg(process.pid, s)) if group else process.send_signal
    with contextlib.suppress(ProcessLookupError):
        kill(signal.SIGTERM)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            kill(signal.SIGKILL)
        process.wait(30)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args, **kwargs):
        return None


class Suite:
    """consulctl agent -dev on an address of its own."""

    def __init__(self, *flags, address=None):
        self.directory = tempfile.mkdtemp(prefix="consuld-browser-")
        self.address = address or self.free_address()
        self.url = f"http://{self.address}:8500"
        self.flags = flags
        self.log = open(os.path.join(self.directory, "log"), "ab")
        self.process = None

    @staticmethod
    def free_address():
        while True:
            address = f"127.{random.randint(220, 250)}.{random.randint(0, 250)}.{random.randint(2, 250)}"
            with socket.socket() as s:
                try:
                    s.bind((address, 8500))
                    return address
                except OSError:
                    continue

    def start(self):
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "bin/consulctl"), "agent", "-dev", f"-bind={self.address}", f"-client={self.address}",
             "-node=agent-one", *self.flags],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=self.directory)
        wait_for(self.is_ready, "a leader and the node in the catalog")
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            raise AssertionError("the agent ended:\n" + self.log_text())
        try:
            return self.get("/v1/status/leader") and self.get("/v1/health/node/agent-one")
        except (OSError, urllib.error.HTTPError):
            return False

    def stop(self):
        if self.process:
            end_process(self.process)

    def close(self):
        self.stop()
        self.log.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def log_text(self):
        with open(self.log.name, errors="replace") as f:
            return f.read()[-4000:]

    def request(self, method, path, body=None):
        request = urllib.request.Request(self.url + path, method=method, data=body)
        with NO_PROXY.open(request, timeout=PATIENCE) as answer:
            return answer.read()

    def get(self, path):
        return json.loads(self.request("GET", path) or "null")

    def put(self, path, body=b""):
        return self.request("PUT", path, body if isinstance(body, bytes) else json.dumps(body).encode())

    def head_of(self, path):
        """(status, headers) without following redirects."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect)
        try:
            with opener.open(self.url + path, timeout=PATIENCE) as answer:
                return answer.status, answer.headers
        except urllib.error.HTTPError as e:
            return e.code, e.headers

    def get_session(self, name):
        """The ID of a new session."""
        return json.loads(self.request("PUT", "/v1/session/create", json.dumps({"Name": name}).encode()))["ID"]

    def put_services(self, names):
        """Many, on a node that is none."""
        for name in names:
            self.put("/v1/catalog/register", {"Node": "bulk", "Address": "192.0.2.1", "Service": {"Service": name}})

    def value(self, key):
        """The bytes of a key, None if there is none."""
        try:
            return self.request("GET", f"/v1/kv/{urllib.parse.quote(key, safe='')}?raw")
        except urllib.error.HTTPError as e:
            if e.code == 404:
                return None
            raise


class WebDriverError(Exception):
    pass


ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--no-proxy-server", "--window-size=1280,900"]


class Browser:
    def __init__(self, *flags):
        self.profile = tempfile.mkdtemp(prefix="consuld-browser-profile-")
        self.log = os.path.join(self.profile, "driver.log")
        self.driver = subprocess.Popen(
            [shutil.which("chromedriver") or "/usr/bin/chromedriver", "--port=0", f"--log-path={self.log}"], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
        self.session = ""
        try:
            port = self.read_port()
            self.base = f"http://127.0.0.1:{port}"
            wait_for(self.is_ready, "chromedriver")
            answer = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
                "browserName": "chrome",
                "goog:loggingPrefs": {"browser": "ALL"},
                "goog:chromeOptions": {"binary": shutil.which("chromium"), "args": FLAGS + [f"--user-data-dir={self.profile}/data", *flags]},
            }}})
            self.session = f"/session/{answer['sessionId']}"
        except BaseException:
            self.close()
            raise

    def read_port(self):
        for line in self.driver.stdout:
            if b"started successfully on port " in line:
                return int(line.split(b"port ")[1].strip(b" .\n"))
        raise AssertionError("chromedriver did not start")

    def is_ready(self):
        try:
            return self.call("GET", "/status")["ready"]
        except OSError:
            return False

    def call(self, method, path, body=None):
        request = urllib.request.Request(self.base + self.session + path, method=method, data=None if body is None else json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"})
        try:
            with NO_PROXY.open(request, timeout=4 * PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as e:
            value = json.load(e)["value"]
            raise WebDriverError(f"{value['error']}: {value['message'].splitlines()[0]}") from None

    def close(self):
        if self.session:
            with contextlib.suppress(WebDriverError, OSError):
                self.call("DELETE", "")
        end_process(self.driver, group=True)
        self.driver.stdout.close()
        shutil.rmtree(self.profile, ignore_errors=True)

    # --- the page

    def go(self, url):
        self.call("POST", "/url", {"url": url})

    @property
    def url(self):
        return self.call("GET", "/url")

    @property
    def path(self):
        return urllib.parse.urlsplit(self.url).path

    @property
    def title(self):
        return self.call("GET", "/title")

    def back(self):
        self.call("POST", "/back", {})

    def js(self, script, *args):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(args)})

    def elements(self, css):
        return [e[ELEMENT] for e in self.call("POST", "/elements", {"using": "css selector", "value": css})]

    def texts(self, css):
        """The visible texts of all elements that match, in the order of the page."""
        return self.js("return [...document.querySelectorAll(arguments[0])].filter(e => e.getClientRects().length > 0)"
                       ".map(e => e.innerText.trim())", css)

    def text(self, css="body"):
        return "\n".join(self.texts(css))

    def wait_text(self, css, text):
        return wait_for(lambda: text in self.text(css), lambda: f"{text!r} in {css}; there is {self.text(css)[:2000]!r}")

    def wait_gone(self, css, text):
        return wait_for(lambda: text not in self.text(css), f"{text!r} to leave {css}")

    def wait_path(self, path):
        return wait_for(lambda: self.path == path, lambda: f"the address {path}; it is {self.path}")

    def find(self, css, text=None):
        """The one visible element that matches and, if wanted, has this text; waits for it."""
        def look():
            for e in self.elements(css):
                with contextlib.suppress(WebDriverError):
                    if self.call("GET", f"/element/{e}/displayed") and (text is None or self.call("GET", f"/element/{e}/text").strip() == text):
                        return e
            return None
        return wait_for(look, f"an element {css} {text or ''}")

    def click(self, css, text=None):
        """The page may replace what was just found: then look again."""
        def attempt():
            try:
                self.call("POST", f"/element/{self.find(css, text)}/click", {})
                return True
            except WebDriverError as e:
                if "stale element" in str(e) or "intercepted" in str(e) or "not interactable" in str(e):
                    return False
                raise
        wait_for(attempt, f"{css} {text or ''} to take a click")

    def type(self, css, text, clear=True):
        element = self.find(css)
        if clear:
            self.call("POST", f"/element/{element}/clear", {})
        self.call("POST", f"/element/{element}/value", {"text": text})

    def keys(self, text):
        """Keys to whatever has the focus."""
        actions = [a for c in text for a in ({"type": "keyDown", "value": c}, {"type": "keyUp", "value": c})]
        self.call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def value(self, css):
        return self.js("return document.querySelector(arguments[0])?.value ?? null", css)

    def console(self):
        """What the console got since the last call."""
        return self.call("POST", "/se/log", {"type": "browser"})

    def screenshot(self, path):
        with open(path, "wb") as f:
            f.write(base64.b64decode(self.call("GET", "/screenshot")))


class Case(unittest.TestCase):
    """One suite and one browser for the tests of a class."""

    FLAGS = ()
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.suite = Suite(*cls.FLAGS)
        cls.addClassCleanup(cls.suite.close)
        cls.suite.start()
        cls.browser = Browser()
        cls.addClassCleanup(cls.browser.close)

    def open(self, path):
        self.browser.go(self.suite.url + path)

    def register(self, name, **more):
        """A service of this agent with a TTL check, warning until told otherwise."""
        self.suite.put("/v1/agent/service/register", {
            "Name": name, "Port": 8080, "Check": {"TTL": "1h", "Status": "warning", "Notes": "told by the test"}, **more})

    def set_health(self, service_id, verb, note=""):
        check = urllib.parse.quote(f"service:{service_id}", safe="")
        self.suite.put(f"/v1/agent/check/{verb}/{check}?note={urllib.parse.quote(note)}")

    def assert_quiet(self):
        """Nothing was refused by the page's policy and no script failed. (An answer 404 or 500 is told in the console, too: the page's own business.)"""
        self.assertEqual([e["message"] for e in self.browser.console() if e["source"] != "network"], [])


class TapResult(unittest.TestResult):
    def tell(self, ok, test, detail=""):
        self.count = getattr(self, "count", 0) + 1
        print(f"{'ok' if ok else 'not ok'} {self.count} {test.id().removeprefix('__main__.')}")
        for line in detail.splitlines():
            print(f"# {line}")
        sys.stdout.flush()

    def addSuccess(self, test):
        super().addSuccess(test)
        self.tell(True, test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.tell(False, test, self.failures[-1][1] + self.scene(test))

    def addError(self, test, err):
        super().addError(test, err)
        self.tell(False, test, self.errors[-1][1] + self.scene(test))

    @staticmethod
    def scene(test):
        """What the page and the agent said when it went wrong."""
        browser, suite = getattr(test, "browser", None), getattr(test, "suite", None)
        text = ""
        with contextlib.suppress(Exception):
            text += f"page {browser.url}\n{browser.text('main')[:2000]}\nconsole {str(browser.console())[-2000:]}\n"
        with contextlib.suppress(Exception):
            text += f"agent\n{suite.log_text()}\n"
        return text


def main():
    tests = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    result = TapResult()
    tests.run(result)
    sys.exit(0 if result.wasSuccessful() else 1)
