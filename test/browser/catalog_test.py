"""Services and nodes as they are registered, and as they change while one looks."""
import harness


class Catalog(harness.Case):
    def setUp(self):
        self.browser.console()

    def tearDown(self):
        self.assert_quiet()

    def row(self, name):
        """The text of this name's row of the table, on one line; health as a sign and a number, and in words for screen readers."""
        return " ".join(next((t for t in self.browser.texts("tbody tr") if t.split()[0] == name), "").split())

    def wait_row(self, name, text):
        harness.wait_for(lambda: self.row(name) == text, lambda: f"the row {text!r}; there is {self.row(name)!r}")

    def test_services_change_live(self):
        self.open("/ui/dc1/services")
        self.browser.wait_text("tbody", "consul")
        self.register("live", Tags=["one", "two"])
        self.wait_row("live", "live ! 1 1 warning one two")
        self.set_health("live", "pass")
        self.wait_row("live", "live ✓ 1 1 passing one two")
        self.set_health("live", "fail")
        self.wait_row("live", "live ✕ 1 1 critical one two")
        self.suite.put("/v1/agent/service/deregister/live")
        self.browser.wait_gone("tbody", "live")

    def test_search(self):
        self.register("needle-a", Tags=["blue"])
        self.register("needle-b", Tags=["red"])
        self.open("/ui/dc1/services")
        self.browser.wait_text("tbody", "needle-b")
        self.browser.wait_text("tbody", "consul")
        self.browser.keys("/")
        self.browser.keys("NEEDLE")
        self.browser.wait_gone("tbody", "consul")
        self.assertEqual(len(self.browser.texts("tbody tr")), 2)
        self.browser.type("#search", "blue")
        self.browser.wait_gone("tbody", "needle-b")
        self.assertIn("filter=blue", self.browser.url)
        # A link to what was searched shows the same.
        self.open("/ui/dc1/services?filter=red")
        self.browser.wait_text("tbody", "needle-b")
        self.assertEqual(len(self.browser.texts("tbody tr")), 1)
        self.browser.type("#search", "nothing like it")
        self.browser.wait_text("main", "No service is found by this search.")
        self.open("/ui/dc1/services?status=warning")
        self.browser.wait_text("tbody", "needle-a")
        self.assertNotIn("consul", self.browser.text("tbody"))

    def test_instances(self):
        self.register("many", ID="many-1", Port=1001, Meta={"colour": "green"})
        self.register("many", ID="many-2", Port=1002)
        self.set_health("many-1", "pass", "all is well")
        self.set_health("many-2", "fail", "disk on fire")
        self.open("/ui/dc1/services/many")
        self.browser.wait_text("main", "many-2")
        self.assertEqual(self.browser.texts(".instance h3"), ["many-1", "many-2"])
        self.assertIn(f"{self.suite.address}:1002", self.browser.text(".instance.critical"))
        # What failed is open already, what did not is folded.
        self.browser.wait_text(".instance.critical pre", "disk on fire")
        self.browser.wait_gone(".instance.passing", "all is well")
        self.browser.click(".instance.passing summary")
        self.browser.wait_text(".instance.passing pre", "all is well")
        # An update does not fold it up again, and does not take the focus away.
        self.set_health("many-1", "warn", "not so well")
        self.browser.wait_text(".instance.warning pre", "not so well")
        self.assertEqual(self.browser.js("return document.activeElement.tagName"), "SUMMARY")
        self.browser.type("#search", "many-2")
        self.browser.wait_gone("main", "many-1")
        self.suite.put("/v1/agent/service/deregister/many-2")
        self.browser.wait_text("main", "No instance is found by this search.")

    def test_node(self):
        self.register("on-node", Port=2001)
        self.set_health("on-node", "fail", "nearly full")
        session = self.suite.get_session("a lock")
        self.open("/ui/dc1/nodes")
        self.browser.wait_text("tbody", self.suite.address)
        self.browser.click("tbody a", "agent-one")
        self.browser.wait_text(".checks", "nearly full")
        self.browser.wait_text(".checks", "Serf Health Status")
        self.browser.wait_text("main", f"{self.suite.address}:2001")
        self.browser.wait_text("main", session)
        self.set_health("on-node", "pass", "empty again")
        self.browser.wait_text(".checks", "empty again")
        self.browser.click("button", "End")
        self.browser.wait_text("dialog", "a lock")
        self.browser.click("dialog button", "End session")
        self.browser.wait_gone("main", session)
        self.assertEqual(self.suite.get(f"/v1/session/info/{session}"), [])
        self.browser.click("main a", "on-node")
        self.browser.wait_path("/ui/dc1/services/on-node/instances")

    def test_node_that_comes_and_goes(self):
        self.open("/ui/dc1/nodes")
        self.suite.put("/v1/catalog/register", {"Node": "far.example.net", "Address": "192.0.2.7"})
        self.browser.wait_text("tbody", "192.0.2.7")
        self.browser.click("tbody a", "far.example.net")
        self.browser.wait_text("main", "No check is registered on this node.")
        self.suite.put("/v1/catalog/deregister", {"Node": "far.example.net"})
        self.browser.wait_text("main", "No node of this name is in the catalog.")

    def test_large_lists_are_cut(self):
        for i in range(0, 600, 50):
            self.suite.put_services(f"zz-bulk-{n:03}" for n in range(i, i + 50))
        self.open("/ui/dc1/services?filter=zz-bulk-")
        self.browser.wait_text(".count", "600 of")
        self.assertEqual(len(self.browser.texts("tbody tr")), 500)
        self.browser.click(".more button")
        harness.wait_for(lambda: len(self.browser.texts("tbody tr")) == 600, "all rows")

    def test_only_what_changed_is_drawn_again(self):
        self.register("still")
        self.register("moving")
        self.open("/ui/dc1/services")
        self.wait_row("moving", "moving ! 1 1 warning")
        self.wait_row("still", "still ! 1 1 warning")
        self.browser.js("for (const tr of document.querySelectorAll('tbody tr')) tr.seen = true")
        self.set_health("moving", "fail")
        self.wait_row("moving", "moving ✕ 1 1 critical")
        self.assertEqual(self.browser.js("return [...document.querySelectorAll('tbody tr')].filter(tr => !tr.seen).length"), 1)


if __name__ == "__main__":
    harness.main()
