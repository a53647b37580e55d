"""Kamailio as registrar and parallel-forking proxy, all routing in Python (KEMI; Kamailio 5.6)."""

import os
from pathlib import Path

from ..ports import PortBlock
from ..process import MissingPeer, Process, need

CONFIG = """\
#!KAMAILIO
debug={debug}
log_stderror=yes
fork=yes
children=2
tcp_children=1
auto_aliases=no
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
mpath="{modules}/"
loadmodule "jsonrpcs.so"
loadmodule "kex.so"
loadmodule "corex.so"
loadmodule "tm.so"
loadmodule "tmx.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "xlog.so"
loadmodule "app_python3.so"
modparam("jsonrpcs", "fifo_name", "{run}/fifo")
modparam("jsonrpcs", "dgram_socket", "{run}/rpc.sock")
modparam("usrloc", "db_mode", 0)
modparam("usrloc", "preload", "location")
modparam("registrar", "max_contacts", 10)
modparam("registrar", "gruu_enabled", 0)
modparam("tm", "fr_timer", 10000)
modparam("rr", "enable_full_lr", 1)
{extra}
modparam("app_python3", "load", "{script}")
cfgengine "python"
"""

ROUTE = '''\
"""Registrar, and proxy that forks to all contacts at once and stays in the path."""

import KSR as KSR


def mod_init():
    return Router()


class Router:
    def child_init(self, rank):
        return 0

    def ksr_request_route(self, msg):
        method = KSR.pv.get("$rm")
        if KSR.maxfwd.process_maxfwd(70) < 0:
            KSR.sl.sl_send_reply(483, "Too Many Hops")
            return 1
        if method == "CANCEL":
            if KSR.tm.t_check_trans() > 0:
                KSR.tm.t_relay()
            return 1
        if KSR.siputils.has_totag() > 0:
            if KSR.rr.loose_route() > 0 or method != "ACK" or KSR.tm.t_check_trans() > 0:
                KSR.tm.t_relay()
            return 1
        if method == "REGISTER":
            KSR.registrar.save("location", 0)
            return 1
        KSR.tm.t_check_trans()
        KSR.hdr.remove("Route")
        KSR.rr.record_route()
        if KSR.registrar.lookup("location") < 0:
            KSR.sl.sl_send_reply(404, "Not Found")
            return 1
        KSR.tm.t_relay()
        return 1

    def ksr_reply_route(self, msg):
        return 1

    def ksr_onsend_route(self, msg):
        return 1
'''


def modules() -> str:
    """The folder of Kamailio's modules."""
    for folder in Path("/usr/lib").glob("*/kamailio/modules"):
        return str(folder)
    raise MissingPeer("Kamailio has no modules (Debian package kamailio)")


class Kamailio:
    """A registrar and proxy on 127.0.0.1:`port`, UDP and TCP. An INVITE goes to every registered contact at once.

    script: another KEMI script in place of ROUTE. extra: more lines of configuration (loadmodule, modparam, listen).
    """

    def __init__(self, folder: Path, *, script: str = ROUTE, extra: str = "", debug: int = 2) -> None:
        self.folder = folder / "kamailio"
        run = self.folder / "run"
        run.mkdir(parents=True)
        if not Path(modules(), "app_python3.so").is_file():
            raise MissingPeer("Kamailio without Python (Debian package kamailio-python3-modules)")
        self.block = PortBlock(2)
        self.port = self.block[0]
        self.uri = f"sip:127.0.0.1:{self.port};lr"
        (self.folder / "route.py").write_text(script)
        config = self.folder / "kamailio.cfg"
        config.write_text(
            CONFIG.format(
                port=self.port, modules=modules(), run=run, script=self.folder / "route.py", extra=extra, debug=debug
            )
        )
        argv = [need("kamailio", "kamailio"), "-DD", "-E", "-f", str(config), "-P", str(run / "pid"), "-Y", str(run)]
        argv += ["-m", "64", "-M", "16"]
        argv += ["-u", "root", "-g", "root"] if os.geteuid() == 0 else []
        self.process = Process("kamailio", argv, self.folder)
        self._wait_ready()

    def _wait_ready(self) -> None:
        """Ready when it answers an OPTIONS (with whatever)."""
        import socket

        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            probe.settimeout(0.2)
            here = probe.getsockname()[1]
            request = (
                f"OPTIONS sip:nobody@127.0.0.1:{self.port} SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP 127.0.0.1:{here};branch=z9hG4bK-ready\r\n"
                f"From: <sip:probe@127.0.0.1>;tag=1\r\nTo: <sip:nobody@127.0.0.1>\r\n"
                f"Call-ID: ready-{here}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
            )
            for _ in range(75):
                if not self.process.running:
                    break
                try:
                    probe.sendto(request.encode(), ("127.0.0.1", self.port))
                    if probe.recv(65536).startswith(b"SIP/2.0"):
                        return
                except OSError:
                    continue
        self.process.stop()
        raise RuntimeError(f"Kamailio did not come up:\n{self.process.text()[-3000:]}")

    def stop(self) -> None:
        """End Kamailio and its workers."""
        self.process.stop()
        self.block.release()
