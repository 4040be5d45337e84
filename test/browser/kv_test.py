"""Keys: browse, create, edit, delete; bytes stay what they are; nobody's change is overwritten unasked."""
import base64

import harness


class Keys(harness.Case):
    def setUp(self):
        self.browser.console()
        self.suite.request("DELETE", "/v1/kv/?recurse")

    def tearDown(self):
        self.assert_quiet()
        # A page with unsaved changes would hold up the next test.
        self.browser.js("for (const a of document.querySelectorAll('.editor')) a.remove()")

    def stored(self, key, value):
        harness.wait_for(lambda: self.suite.value(key) == value, lambda: f"{key} to be {value!r}; it is {self.suite.value(key)!r}")

    def edit(self, key):
        self.open(f"/ui/dc1/kv/{key}/edit")
        self.browser.find("#value")

    def wait_value(self, value):
        harness.wait_for(lambda: self.browser.value("#value") == value, lambda: f"the value {value!r}; it is {self.browser.value('#value')!r}")

    def test_create_edit_delete(self):
        self.open("/ui/dc1/kv")
        self.browser.wait_text("main", "There are no keys here.")
        self.browser.click("a", "Create key")
        self.browser.type("#key", "app/config/color")
        self.browser.type("#value", "blue")
        self.browser.click("button", "Create")
        self.browser.wait_path("/ui/dc1/kv/app/config/")
        self.stored("app/config/color", b"blue")
        self.browser.click("tbody a", "color")
        self.wait_value("blue")
        self.browser.type("#value", "gréen\nand more")
        self.browser.click("button", "Save")
        self.browser.wait_text("#toast", "Saved app/config/color")
        self.stored("app/config/color", "gréen\nand more".encode())
        self.browser.click("button", "Delete")
        self.browser.wait_text("dialog", "app/config/color")
        self.browser.click("dialog button", "Cancel")
        self.browser.wait_gone("body", "Delete this key?")
        self.assertIsNotNone(self.suite.value("app/config/color"))
        self.browser.click("button", "Delete")
        self.browser.click("dialog button", "Delete")
        self.browser.wait_path("/ui/dc1/kv/app/config/")
        self.stored("app/config/color", None)

    def test_folders(self):
        for key in "top", "f/a", "f/g/b", "f/g/c", "other/x":
            self.suite.put(f"/v1/kv/{key}", b"1")
        self.open("/ui/dc1/kv")
        self.browser.wait_text("tbody", "top")
        self.assertEqual(self.browser.texts("tbody a"), ["f/", "other/", "top"])
        self.browser.click("tbody a", "f/")
        self.browser.wait_path("/ui/dc1/kv/f/")
        self.browser.click("tbody a", "g/")
        self.browser.wait_text("tbody", "c")
        self.assertEqual(self.browser.texts(".trail a"), ["Key/Value", "f"])
        self.suite.put("/v1/kv/f/g/live", b"1")
        self.browser.wait_text("tbody", "live")
        self.browser.click("button", "Delete folder")
        self.browser.wait_text("dialog", "f/g/ and all below it: 3 keys")
        self.browser.click("dialog button", "Delete folder")
        self.browser.wait_path("/ui/dc1/kv/f/")
        self.browser.wait_gone("tbody", "g/")
        self.assertEqual(self.suite.get("/v1/kv/?keys"), ["f/a", "other/x", "top"])

    def test_key_that_exists_is_not_overwritten_by_create(self):
        self.suite.put("/v1/kv/taken", b"old")
        self.open("/ui/dc1/kv/create")
        self.browser.type("#key", "taken")
        self.browser.type("#value", "new")
        self.browser.click("button", "Create")
        self.browser.wait_text(".problem", "There is such a key already")
        self.assertEqual(self.suite.value("taken"), b"old")

    def test_bytes(self):
        content = bytes(range(256))
        self.suite.put("/v1/kv/bin", content)
        self.edit("bin")
        self.wait_value(base64.b64encode(content).decode())
        self.browser.wait_text("#value-hint", "not text")
        self.browser.type("#value", "not base64!")
        self.browser.click("button", "Save")
        self.browser.wait_text(".problem", "not Base64")
        self.browser.type("#value", base64.b64encode(content[::-1]).decode())
        self.browser.click("button", "Save")
        self.stored("bin", content[::-1])

    def test_coding_is_chosen(self):
        self.suite.put("/v1/kv/text", b"one")
        self.edit("text")
        self.wait_value("one")
        self.browser.click("input[value=base64]")
        self.wait_value("b25l")
        self.browser.type("#value", "dHdv")
        self.browser.click("input[value=text]")
        self.wait_value("two")
        self.browser.click("button", "Save")
        self.stored("text", b"two")

    def test_line_ends_and_flags_are_kept(self):
        self.suite.put("/v1/kv/dos?flags=18446744073709551615", b"a\r\nb\r\n")
        self.edit("dos")
        self.wait_value("a\nb\n")
        self.browser.wait_text("main", "18446744073709551615")
        self.browser.type("#value", "c", clear=False)
        self.browser.click("button", "Save")
        self.stored("dos", b"a\r\nb\r\nc")
        self.assertEqual(self.suite.get("/v1/kv/dos")[0]["Flags"], 18446744073709551615)
        # Two kinds of line ends would not survive a text field.
        self.suite.put("/v1/kv/dos", b"a\r\nb\n")
        self.wait_value(base64.b64encode(b"a\r\nb\n").decode())

    def test_changed_meanwhile(self):
        self.suite.put("/v1/kv/hot", b"1")
        self.edit("hot")
        self.wait_value("1")
        self.suite.put("/v1/kv/hot", b"2")
        self.wait_value("2")
        self.browser.type("#value", "mine")
        self.suite.put("/v1/kv/hot", b"3")
        self.browser.wait_text(".problem", "changed meanwhile")
        self.browser.click("button", "Save")
        self.browser.wait_text(".problem", "it was not saved")
        self.assertEqual(self.suite.value("hot"), b"3")
        self.suite.put("/v1/kv/hot", b"4")
        self.browser.click("button", "Keep mine")
        self.assertEqual(self.browser.value("#value"), "mine")
        self.browser.click("button", "Save")
        self.stored("hot", b"mine")
        self.browser.type("#value", "mine again")
        self.suite.request("DELETE", "/v1/kv/hot")
        self.browser.wait_text(".problem", "deleted meanwhile")

    def test_unsaved_changes_are_not_lost_by_a_click(self):
        self.suite.put("/v1/kv/draft", b"1")
        self.edit("draft")
        self.wait_value("1")
        self.browser.type("#value", "half a thought")
        self.browser.click("#nav a", "Nodes")
        self.browser.wait_text("dialog", "not saved")
        self.browser.click("dialog button", "Cancel")
        self.assertEqual(self.browser.value("#value"), "half a thought")
        self.browser.click("#nav a", "Nodes")
        self.browser.click("dialog button", "Leave")
        self.browser.wait_path("/ui/dc1/nodes")

    def test_odd_names(self):
        """Every name that a browser can ask for leads to its own page, also when that is opened anew."""
        for key in "edit", "create", "a/edit", "a/create", "a//b", "/lead", "x/../y", "sp ace", "per%2Fcent", "qu?es#t", "plus+", "ümläut/ß", "a.b/c.js":
            self.suite.request("DELETE", "/v1/kv/?recurse")
            self.suite.put(f"/v1/kv/{harness.urllib.parse.quote(key, safe='')}", b"of " + key.encode())
            self.open("/ui/dc1/kv")
            while "edit" not in self.browser.path.split("/")[-1:]:
                if self.browser.texts("tbody a"):
                    before = self.browser.url
                    self.browser.click("tbody a")
                    harness.wait_for(lambda: self.browser.url != before, "the next page")
            self.wait_value(f"of {key}")
            self.open(self.browser.url.removeprefix(self.suite.url))
            self.wait_value(f"of {key}")
            self.browser.type("#value", "new")
            self.browser.click("button", "Save")
            self.stored(key, b"new")


if __name__ == "__main__":
    harness.main()
