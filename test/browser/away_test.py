"""An agent that goes away: the page says so, keeps what it has, and is live again when an agent is back."""
import harness


class Away(harness.Case):
    def test_away_and_back(self):
        self.register("before")
        for _ in range(20):
            # An index far above the one that the next agent begins with: asking on with it would wait in vain.
            self.suite.put("/v1/kv/step", b"x")
        self.open("/ui/dc1/services")
        self.browser.wait_text("tbody", "before")
        self.browser.wait_text("#link", "Live")
        self.suite.stop()
        self.browser.wait_text("#trouble", "The agent does not answer.")
        self.browser.wait_text("#link", "No connection")
        self.assertIn("before", self.browser.text("tbody"))
        # Another page is opened meanwhile.
        self.browser.click("#nav a", "Nodes")
        self.browser.wait_text("h1", "Nodes")
        self.browser.wait_text("#trouble", "The agent does not answer.")
        self.suite.start()
        self.browser.wait_text("tbody", "agent-one")
        self.browser.wait_text("#link", "Live")
        self.assertEqual(self.browser.text("#trouble"), "")
        self.browser.click("#nav a", "Services")
        self.browser.wait_text("tbody", "consul")
        self.assertNotIn("before", self.browser.text("tbody"))
        self.register("after")
        self.browser.wait_text("tbody", "after")

    def test_writes_that_fail_say_so(self):
        self.suite.put("/v1/kv/k", b"1")
        self.open("/ui/dc1/kv/k/edit")
        harness.wait_for(lambda: self.browser.value("#value") == "1", "the value")
        self.browser.type("#value", "2")
        self.suite.stop()
        self.browser.click("button", "Save")
        self.browser.wait_text(".problem", "The agent does not answer.")
        self.assertEqual(self.browser.value("#value"), "2")
        self.browser.wait_text("#link", "No connection")
        self.suite.start()
        self.browser.wait_text(".problem", "deleted meanwhile")
        self.browser.click("button", "Keep mine")
        self.browser.click("button", "Save")
        harness.wait_for(lambda: self.suite.value("k") == b"2", "the value in the store")

    def test_polling_backs_off(self):
        self.open("/ui/dc1/services")
        self.browser.wait_text("#link", "Live")
        self.suite.stop()
        self.browser.wait_text("#trouble", "The agent does not answer.")
        # Asks counted by the browser itself; two followers, the pauses grow from 1 s.
        self.browser.js("performance.clearResourceTimings(); window.from = performance.now()")
        harness.wait_for(lambda: self.browser.js("return performance.now() - window.from > 4000"), "four seconds of the page's clock")
        asks = self.browser.js("return performance.getEntriesByType('resource').filter(e => e.name.includes('/v1/')).length")
        self.assertLess(asks, 9)
        self.suite.start()
        self.browser.click("button", "Try now")
        self.browser.wait_text("#link", "Live")


if __name__ == "__main__":
    harness.main()
