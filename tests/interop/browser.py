"""Headless Chromium: a page as text after all its scripts had their chance, and as a picture."""

import shutil
import subprocess
from pathlib import Path

from .process import need

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"),
)


class Browser:
    """Opens files. Each call is a browser of its own with an empty profile below `folder`."""

    def __init__(self, folder: Path) -> None:
        self._program = need("chromium", "chromium")
        self._profile = folder / "chromium"

    def dom(self, page: Path) -> str:
        """The document as the browser has it in the end."""
        return self._run("--virtual-time-budget=2000", "--dump-dom", page.as_uri())

    def picture(self, page: Path, file: Path, *, width: int = 1100, height: int = 1900) -> Path:
        """A screenshot."""
        self._run(f"--window-size={width},{height}", f"--screenshot={file}", page.as_uri())
        return file

    def _run(self, *options: str) -> str:
        try:
            done = subprocess.run(
                [self._program, *_FLAGS, f"--user-data-dir={self._profile}", *options],
                capture_output=True,
                check=True,
                timeout=60,
            )
        finally:
            shutil.rmtree(self._profile, ignore_errors=True)
        return done.stdout.decode("utf-8")
