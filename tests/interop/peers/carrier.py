"""A carrier that demands mediasec: Kamailio with TLS towards subscribers, rtpengine, and a plain core (KEMI script
carrier_route.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..certificates import make_certificates
from ..journal import until
from ..ports import PortBlock
from .kamailio import Kamailio
from .rtpengine import Rtpengine

EXTRA = """\
enable_tls=yes
listen=tls:127.0.0.1:{port}
loadmodule "tls.so"
loadmodule "nathelper.so"
loadmodule "dialog.so"
modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "certificate", "{certificate}")
modparam("tls", "private_key", "{key}")
modparam("nathelper|registrar", "received_avp", "$avp(received)")
modparam("dialog", "db_mode", 0)
"""


class Carrier:
    """`tls_port`: where subscribers go, `ca_file`: whom they trust; `port`: the core, on UDP.

    users: passwords of subscribers. What it did is in `events`.
    """

    def __init__(self, folder: Path, users: dict[str, str]) -> None:
        self.folder = folder / "kamailio"
        self.rtpengine = Rtpengine(folder)
        try:
            self._block = PortBlock(1)
            self.tls_port = self._block[0]
            ca, certificate, key = make_certificates(folder)
            self.ca_file = str(ca)
            script = Path(__file__).with_name("carrier_route.py").read_text()
            extra = EXTRA.format(port=self.tls_port, certificate=certificate, key=key)
            self._orders = json.dumps({"rtpengine": self.rtpengine.ng_port, "users": users})
            self.kamailio = Kamailio(folder, script=script, extra=extra)
            (self.folder / "orders.json").write_text(self._orders)
        except BaseException:
            self.rtpengine.stop()
            raise
        self.port = self.kamailio.port

    def once(self, what: str) -> None:
        """Have it do something once: "494-INVITE", "494-REGISTER", …"""
        (self.folder / f"once-{what}").touch()

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it told, oldest first."""
        file = self.folder / "events"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def wait(self, timeout: float = 10, **what: object) -> None:
        """Until it has told of this."""
        until(lambda: any(what.items() <= e.items() for e in self.events), timeout, f"the carrier to tell of {what}")

    def requests(self, method: str) -> list[dict[str, Any]]:
        """Those of subscribers."""
        return [event for event in self.events if event.get("request") == method]

    def stop(self) -> None:
        """End Kamailio and rtpengine."""
        self.kamailio.stop()
        self.rtpengine.stop()
        self._block.release()
