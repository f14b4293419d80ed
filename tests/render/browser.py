"""A real headless Chromium, driven through its own driver by plain HTTP (W3C WebDriver)."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_DRIVERS = ("chromedriver", "/usr/lib/chromium/chromedriver")
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_OPENER = build_opener(ProxyHandler({}))

ENTER = "\ue007"
TAB = "\ue004"


def find_browser() -> tuple[str, str] | None:
    """Paths of driver and browser, or None where one is missing."""
    driver = next(filter(None, map(shutil.which, _DRIVERS)), None)
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    return (driver, browser) if driver and browser else None


class Browser:
    """One window; use it in a `with` statement."""

    def __init__(self, driver: str, browser: str, profile: Path) -> None:
        self._process = subprocess.Popen(
            [driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        port = next(
            found[1]
            for line in self._process.stdout
            if (found := re.search(r"started successfully on port (\d+)", line))
        )
        self._base = f"http://127.0.0.1:{port}"
        switches = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
        options = {"binary": browser, "args": [*switches, "--window-size=1100,1400"]}
        logs = {"goog:loggingPrefs": {"browser": "ALL"}}
        wanted = {"alwaysMatch": {"goog:chromeOptions": options, **logs}}
        try:
            session = self._call("POST", "/session", {"capabilities": wanted})
        except BaseException:
            self._process.kill()
            raise
        self._base += f"/session/{session['sessionId']}"

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._call("DELETE", "")
        finally:
            self._process.terminate()
            self._process.wait(10)

    def _call(self, method: str, path: str, values: dict[str, Any] | None = None) -> Any:
        body = json.dumps(values or {}).encode() if method == "POST" else None
        request = Request(
            self._base + path, body, {"Content-Type": "application/json"}, method=method
        )
        with _OPENER.open(request, timeout=60) as answer:
            return json.loads(answer.read())["value"]

    def open(self, path: Path) -> None:
        self._call("POST", "/url", {"url": path.resolve().as_uri()})

    def click(self, selector: str) -> None:
        """A real click of the mouse on the middle of an element."""
        found = self._call("POST", "/element", {"using": "css selector", "value": selector})
        self._call("POST", f"/element/{found[_ELEMENT]}/click")

    def press(self, *keys: str) -> None:
        """Keys for whatever has the focus."""
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        device = {"type": "key", "id": "keyboard", "actions": actions}
        self._call("POST", "/actions", {"actions": [device]})

    def run(self, script: str) -> Any:
        """What a piece of JavaScript returns."""
        return self._call("POST", "/execute/sync", {"script": script, "args": []})

    def complaints(self) -> list[str]:
        """What stands in the console."""
        rows = self._call("POST", "/se/log", {"type": "browser"})
        return [row["message"] for row in rows]

    def screenshot(self) -> bytes:
        """The window as PNG."""
        return base64.b64decode(self._call("GET", "/screenshot"))
