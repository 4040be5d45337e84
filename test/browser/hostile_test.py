"""Names, tags, notes and outputs come from whoever may register: they are shown as text and run nothing."""
import harness

MARKUP = "<img src=x onerror=window.owned=1><script>window.owned=1</script>"
KEY = "<img src=x onerror=window.owned=1>"  # a slash would make it a folder
LINK = "javascript:window.owned=1"


class Hostile(harness.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        quote = harness.urllib.parse.quote
        cls.suite.put("/v1/catalog/register", {
            "Node": "bad-node", "Address": MARKUP, "NodeMeta": {"site": MARKUP}, "TaggedAddresses": {"lan": MARKUP},
            "Service": {"ID": MARKUP, "Service": MARKUP, "Tags": [MARKUP, LINK], "Meta": {"m": MARKUP}, "Address": MARKUP, "Port": 1},
            "Checks": [{"Node": "bad-node", "CheckID": MARKUP, "Name": MARKUP, "Notes": MARKUP, "Output": MARKUP, "Status": "critical", "ServiceID": MARKUP}]})
        cls.suite.put("/v1/catalog/register", {"Node": "linked", "Address": "192.0.2.9", "Service": {"Service": LINK}})
        for key in KEY, LINK, f"folder/{KEY}", f"{KEY}/sub":
            cls.suite.put(f"/v1/kv/{quote(key, safe='')}", MARKUP.encode())
        cls.suite.put("/v1/session/create", {"Name": MARKUP})

    def check(self, path, *places, text=MARKUP):
        """All places show the text as it is, and the page is as it was made."""
        self.open(path)
        for css in places:
            self.browser.wait_text(css, text)
        self.assertIsNone(self.browser.js("return window.owned ?? null"))
        self.assertEqual(self.browser.js("return document.querySelectorAll('main img, main script, [onerror], [href^=javascript]').length"), 0)
        self.assert_quiet()

    def test_catalog(self):
        quoted = harness.urllib.parse.quote(MARKUP, safe="")
        self.check("/ui/dc1/services", "tbody th", "tbody .tag")
        self.check(f"/ui/dc1/services/{quoted}/instances", "h1", "h3", ".instance code", ".instance .tag", ".check strong", ".check pre", ".check p")
        self.assertEqual(self.browser.title, f"{MARKUP} – consuld")
        self.check("/ui/dc1/nodes", "tbody td")
        self.check("/ui/dc1/nodes/bad-node", ".facts", ".check strong", "tbody th", "tbody td")
        self.check("/ui/dc1/nodes/agent-one", "tbody th")

    def test_name_in_the_address_alone(self):
        quoted = harness.urllib.parse.quote("no such " + KEY, safe="")
        for path in f"/ui/dc1/nodes/{quoted}", f"/ui/dc1/services/{quoted}/instances", f"/ui/dc1/kv/{quoted}/edit":
            self.check(path, "h1", text=KEY)

    def test_keys(self):
        quoted = harness.urllib.parse.quote(KEY)
        self.check("/ui/dc1/kv/folder/", "tbody th", text=KEY)
        self.check(f"/ui/dc1/kv/{quoted}/", "h1", text=KEY)
        self.check(f"/ui/dc1/kv/{quoted}/sub/edit", ".trail", ".facts", text=KEY)
        self.open("/ui/dc1/kv")
        self.browser.wait_text("tbody", LINK)
        self.browser.click("tbody a", LINK)
        harness.wait_for(lambda: self.browser.value("#value") == MARKUP, "the value")
        self.browser.click("button", "Delete")
        self.browser.wait_text("dialog", LINK)
        self.browser.click("dialog button", "Delete")
        self.browser.wait_text("#toast", LINK)
        self.check(f"/ui/dc1/kv/folder/{quoted}/edit", "h1", ".facts", text=KEY)

    def test_policy_would_stop_it(self):
        """The second wall: markup made by a mistake of ours would not run either."""
        self.open("/ui/dc1/services")
        self.browser.wait_text("#link", "Live")
        for attempt in ("document.querySelector('main').innerHTML = '<b>x</b>'", "document.body.setAttribute('onclick', 'window.owned = 1')",
                        "const s = document.createElement('script'); s.text = 'window.owned = 1'; document.body.append(s)"):
            refused = self.browser.js(f"try {{ {attempt}; return ''; }} catch (e) {{ return e.name; }}")
            self.assertEqual(refused, "TypeError", attempt)
        self.assertIsNone(self.browser.js("return window.owned ?? null"))
        self.browser.console()


if __name__ == "__main__":
    harness.main()
