"""The way to a page: redirects, deep links, history, another content path, the policy that the pages live with."""
import harness


class Pages(harness.Case):
    def setUp(self):
        self.browser.console()

    def test_redirects(self):
        for path in "/", "/ui":
            status, headers = self.suite.head_of(path)
            self.assertEqual((status, headers["Location"]), (301, "/ui/"), path)

    def test_every_asset_has_the_policy_and_its_type(self):
        for path, kind in ("/ui/", "text/html"), ("/ui/dc1/nodes", "text/html"), ("/ui/dc1/nodes/a.example.net", "text/html"), \
                ("/ui/app.js", "text/javascript"), ("/ui/style.css", "text/css"), ("/ui/favicon.svg", "image/svg+xml"):
            status, headers = self.suite.head_of(path)
            self.assertEqual(status, 200, path)
            self.assertTrue(headers["Content-Type"].startswith(kind), path)
            policy = headers["Content-Security-Policy"]
            self.assertIn("default-src 'self'", policy)
            self.assertNotIn("unsafe", policy)
        for path in "/ui/missing.js", "/ui/assets/missing.css":
            self.assertEqual(self.suite.head_of(path)[0], 404)

    def test_root_leads_to_the_services(self):
        self.open("/")
        self.browser.wait_path("/ui/dc1/services")
        self.browser.wait_text("h1", "Services")
        self.browser.wait_text("#link", "Live")
        self.assert_quiet()

    def test_deep_links(self):
        for path, title, text in ("/ui/dc1/overview", "Overview", "leader"), ("/ui/dc1/services", "Services", "consul"), \
                ("/ui/dc1/services/consul/instances", "consul", "agent-one"), ("/ui/dc1/nodes", "Nodes", "agent-one"), \
                ("/ui/dc1/nodes/agent-one", "agent-one", "Serf Health Status"), ("/ui/dc1/kv", "Key/Value", "There are no keys here"), \
                ("/ui/dc1/kv/none/such/edit", "such", "There is no such key"), ("/ui/dc1/kv/in/create", "Create key", "Slashes make folders"), \
                ("/ui/dc1/services/nobody/instances", "nobody", "no instances"), ("/ui/dc1/nodes/no.body", "no.body", "No node of this name"), \
                ("/ui/dc1/nonsense", "Not found", "no such page"):
            self.open(path)
            self.browser.wait_text("main", text)
            self.assertEqual(self.browser.text("h1"), title)
            self.assertEqual(self.browser.title, f"{title} – consuld")
            self.assertEqual(self.browser.path, path)
        self.assert_quiet()

    def test_links_keep_the_page_and_the_history_works(self):
        self.open("/ui/dc1/services")
        self.browser.js("window.same_page = true")
        self.browser.click("#nav a", "Nodes")
        self.browser.wait_path("/ui/dc1/nodes")
        self.browser.click("tbody a", "agent-one")
        self.browser.wait_text("h1", "agent-one")
        # Who can not see it hears where they are.
        self.assertEqual(self.browser.js("return document.activeElement.tagName"), "H1")
        self.browser.back()
        self.browser.wait_text("h1", "Nodes")
        self.browser.back()
        self.browser.wait_text("h1", "Services")
        self.assertTrue(self.browser.js("return window.same_page === true"))
        self.assertEqual(self.browser.texts("#nav a[aria-current=page]"), ["Services"])

    def test_overview_names_leader_and_members(self):
        self.open("/ui/dc1/overview")
        self.browser.wait_text(".tiles", "agent-one")
        self.browser.wait_text("table", f"{self.suite.address}:8301")
        self.browser.wait_text("table", "alive")
        self.browser.wait_text("table", "leader")

    def test_datacenter_that_is_not_there(self):
        self.open("/ui/dc9/services")
        self.browser.wait_text("#trouble", "No path to datacenter")
        self.browser.wait_text("#link", "Not live")
        self.browser.click("a.brand")
        self.browser.wait_path("/ui/dc1/services")
        self.browser.wait_text("#link", "Live")


class OtherContentPath(harness.Case):
    FLAGS = ("-ui-content-path=/con/sole/",)

    def test_assets_and_links_follow(self):
        self.assertEqual(self.suite.head_of("/")[1]["Location"], "/con/sole/")
        self.open("/con/sole/dc1/services/consul/instances")
        self.browser.wait_text("main", "agent-one")
        self.browser.click("main a", "agent-one")
        self.browser.wait_path("/con/sole/dc1/nodes/agent-one")
        self.open("/con/sole/")
        self.browser.wait_path("/con/sole/dc1/services")
        self.assert_quiet()


if __name__ == "__main__":
    harness.main()
