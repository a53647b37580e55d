"""KEMI script of Kamailio: the edge and registrar of a carrier that demands mediasec, with rtpengine for the media.

What comes over TLS comes from subscribers: digest, the security agreement, and RTP/SAVP with `a=3ge2ae`. What comes
over UDP comes from the core of the network: plain. Beside the script lie
    orders.json   {"rtpengine": port, "users": {user: password}}
    once-NAME     orders of the test, each good for one request: once-494-INVITE (or another method), once-494-REGISTER,
                  once-494-credentials (a REGISTER that answers a challenge)
    events        one JSON line for each thing worth telling, written by the script
    state-…       what the workers share: nonces, subscribers, answers that broke the rules
"""

import fcntl
import hashlib
import json
import os
import re
import socket

import KSR as KSR

FOLDER = os.path.dirname(__file__)
LIST = ["msrp-tls;mediasec", "sdes-srtp;mediasec", "dtls-srtp;mediasec"]
BARRED = ("ACK", "CANCEL", "PRACK")
REALM = "carrier.test"


def place(name):
    return os.path.join(FOLDER, name)


def orders():
    with open(place("orders.json")) as file:
        return json.load(file)


def tell(**what):
    with open(place("events"), "a") as file:
        file.write(json.dumps(what) + "\n")


def take(name):
    """Whether the test has given this order; it is used up then."""
    try:
        os.unlink(place(f"once-{name}"))
    except FileNotFoundError:
        return False
    return True


def keep(name, text):
    with open(place(f"state-{name}"), "w") as file:
        file.write(text)


def kept(name):
    try:
        with open(place(f"state-{name}")) as file:
            return file.read()
    except FileNotFoundError:
        return None


class Message:
    """The message as it came."""

    def __init__(self):
        head, _, self.body = KSR.pv.get("$mb").partition("\r\n\r\n")
        self.headers = [tuple(part.strip() for part in line.split(":", 1)) for line in head.split("\r\n")[1:]]

    def items(self, name):
        lines = [value for key, value in self.headers if key.lower() == name.lower()]
        return [item.strip() for line in lines for item in line.split(",") if item.strip()]

    def value(self, name):
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


def bencode(value):
    if isinstance(value, str):
        return b"%d:%s" % (len(value.encode()), value.encode())
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    return b"d" + b"".join(bencode(key) + bencode(item) for key, item in value.items()) + b"e"


def rtpengine(command, **arguments):
    """One NG request; the SDP of the answer."""
    body = {"command": command, **{key.replace("_", "-"): value for key, value in arguments.items()}}
    cookie = os.urandom(8).hex().encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        control.settimeout(2)
        control.sendto(cookie + b" " + bencode(body), ("127.0.0.1", orders()["rtpengine"]))
        answer = control.recv(65536).partition(b" ")[2]
    found = re.search(rb"3:sdp(\d+):", answer)
    if not found:
        tell(rtpengine=command, answer=answer.decode("latin-1"))
        return ""
    return answer[found.end() : found.end() + int(found[1])].decode()


SUITES = ["AES_CM_128_HMAC_SHA1_32", "AES_192_CM_HMAC_SHA1_80", "AES_192_CM_HMAC_SHA1_32", "AES_256_CM_HMAC_SHA1_80",
          "AES_256_CM_HMAC_SHA1_32", "F8_128_HMAC_SHA1_80", "F8_128_HMAC_SHA1_32", "NULL_HMAC_SHA1_80",
          "NULL_HMAC_SHA1_32", "AEAD_AES_128_GCM", "AEAD_AES_256_GCM"]  # fmt: skip
COMMON = {"ICE": "remove", "DTLS": "off", "replace": ["origin", "session-connection"]}


def mod_init():
    return Carrier()


class Carrier:
    def child_init(self, rank):
        return 0

    def ksr_request_route(self, msg):
        method = KSR.pv.get("$rm")
        message = Message()
        access = KSR.pv.get("$pr") == "tls"
        if KSR.maxfwd.process_maxfwd(70) < 0:
            KSR.sl.sl_send_reply(483, "Too Many Hops")
            return 1
        if access:
            named = [name for name in ("Security-Client", "Security-Verify") if message.items(name)]
            tell(
                request=method,
                cseq=int(message.value("CSeq").split()[0]),
                has=named,
                to_tag="tag=" in message.value("To"),
            )
        if method == "CANCEL":
            if KSR.tm.t_check_trans() > 0:
                KSR.tm.t_relay()
            return 1
        if method == "REGISTER":
            if access:
                self.register(message)
            else:
                KSR.registrar.save("location", 0)
            return 1
        if access and method not in BARRED and not self.agreed(method, message):
            return 1
        if access:
            self.strip(message)
        return self.forward(method, message, access)

    # Registration

    def register(self, message):
        client = message.items("Security-Client")
        verify = message.items("Security-Verify")
        user = KSR.pv.get("$tU")
        call_id = message.value("Call-ID")
        if not self.tagged(message):
            return self.refuse(403, "REGISTER without Require and Proxy-Require: mediasec")
        if client:
            keep(f"client-{user}", ", ".join(client))
        if take("494-credentials" if "response=" in message.value("Authorization") else "494-REGISTER"):
            keep(f"after-494-{call_id}", "1")
            return self.agreement_required("REGISTER")
        after = kept(f"after-494-{call_id}")
        if after == "1":
            if client:
                return self.refuse(403, "Security-Client again after a 494")
            if verify != LIST:
                return self.refuse(403, "no Security-Verify after a 494")
        elif not client:
            return self.refuse(403, "REGISTER without Security-Client")
        if not self.authentic(message, user):
            keep(f"after-494-{call_id}", "0")
            for entry in LIST:
                KSR.hdr.append_to_reply(f"Security-Server: {entry}\r\n")
            nonce = os.urandom(8).hex()
            keep(f"nonce-{nonce}", "0")
            KSR.hdr.append_to_reply(
                f'WWW-Authenticate: Digest realm="{REALM}", nonce="{nonce}", algorithm=MD5, qop="auth"\r\n'
            )
            tell(answer=401)
            KSR.sl.sl_send_reply(401, "Unauthorized")
            return None
        if verify != LIST:
            return self.agreement_required("REGISTER")
        keep(f"after-494-{call_id}", "0")
        KSR.nathelper.fix_nated_register()
        KSR.registrar.save("location", 0)
        tell(registered=user)
        return None

    def authentic(self, message, user):
        """RFC 7616, with a nonce of ours whose count goes up."""
        given = dict(re.findall(r'(\w+)="?([^",]*)"?', message.value("Authorization")))
        password = orders()["users"].get(user)
        if not given.get("response") or password is None:
            return False
        with open(place("lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            last = kept(f"nonce-{given['nonce']}")
            count = int(given.get("nc", "0"), 16)
            if last is None or count <= int(last):
                tell(nonce_count_wrong=count, last=last)
                return False
            keep(f"nonce-{given['nonce']}", str(count))

        def digest(text):
            return hashlib.md5(text.encode()).hexdigest()

        one, two = digest(f"{user}:{REALM}:{password}"), digest(f"REGISTER:{given['uri']}")
        middle = f"{given['nonce']}:{given['nc']}:{given['cnonce']}:{given['qop']}"
        return given["response"] == digest(f"{one}:{middle}:{two}") and given["username"] == user

    # The agreement

    def tagged(self, message):
        return all("mediasec" in message.items(name) for name in ("Require", "Proxy-Require"))

    def agreed(self, method, message):
        if not self.tagged(message):
            return self.refuse(403, f"{method} without Require and Proxy-Require: mediasec")
        if message.items("Security-Client"):
            return self.refuse(403, f"{method} with Security-Client")
        if take(f"494-{method}") or message.items("Security-Verify") != LIST:
            return self.agreement_required(method)
        return True

    def agreement_required(self, method):
        for entry in LIST:
            KSR.hdr.append_to_reply(f"Security-Server: {entry}\r\n")
        tell(answer=494, to=method)
        KSR.sl.sl_send_reply(494, "Security Agreement Required")
        return False

    def refuse(self, status, why):
        tell(answer=status, why=why)
        KSR.sl.sl_send_reply(status, "Forbidden" if status == 403 else "Not Acceptable Here")
        return False

    def strip(self, message):
        """Nothing of it goes into the core."""
        for name in ("Security-Client", "Security-Verify", "Require", "Proxy-Require"):
            others = [item for item in message.items(name) if item != "mediasec" and not name.startswith("Security")]
            KSR.hdr.remove(name)
            if others:
                KSR.hdr.append(f"{name}: {', '.join(others)}\r\n")

    # Calls

    def forward(self, method, message, access):
        within = KSR.siputils.has_totag() > 0
        if method in ("INVITE", "UPDATE") and "m=" in message.body and not self.offer(message, access):
            return 1
        if method == "BYE":
            rtpengine("delete", call_id=message.value("Call-ID"), from_tag=KSR.pv.get("$ft"))
        if within:
            KSR.nathelper.handle_ruri_alias()
            KSR.rr.loose_route()
            if method == "ACK" and kept(f"broken-{message.value('Call-ID')}"):
                KSR.tm.t_relay()
                KSR.dialog.dlg_bye("all")
                return 1
        else:
            KSR.tm.t_check_trans()
            KSR.hdr.remove("Route")
            KSR.rr.record_route()
            KSR.nathelper.set_contact_alias()
            if method == "INVITE":
                KSR.dialog.dlg_manage()
            if KSR.registrar.lookup("location") < 0:
                KSR.sl.sl_send_reply(404, "Not Found")
                return 1
        if method in ("INVITE", "UPDATE"):
            KSR.tm.t_on_reply("ksr_answer")
        KSR.tm.t_relay()
        return 1

    def offer(self, message, access):
        """The media plane stands between: RTP/SAVP with a key of the network towards subscribers, plain to the core."""
        sdp = message.body
        arguments = {"call_id": message.value("Call-ID"), "from_tag": KSR.pv.get("$ft"), **COMMON}
        if access:
            if "RTP/SAVP" not in sdp or "a=crypto:" not in sdp or "a=3ge2ae:requested\r\n" not in sdp:
                return self.refuse(488, "an offer without RTP/SAVP, a=crypto or a=3ge2ae:requested")
            sdp = sdp.replace("a=3ge2ae:requested\r\n", "")
            sdp = rtpengine("offer", sdp=sdp, transport_protocol="RTP/AVP", SDES=["off"], **arguments)
        else:
            if "sdes-srtp;mediasec" not in (kept(f"client-{KSR.pv.get('$rU')}") or ""):
                return self.refuse(488, "this subscriber did not announce sdes-srtp")
            flags = ["pad", *(f"no-{suite}" for suite in SUITES)]
            sdp = rtpengine("offer", sdp=sdp, transport_protocol="RTP/SAVP", SDES=flags, **arguments)
            lines = sdp.split("\r\n")
            at = max(n for n, line in enumerate(lines) if line.startswith("a=crypto:"))
            sdp = "\r\n".join([*lines[: at + 1], "a=3ge2ae:applied", *lines[at + 1 :]])
        KSR.textops.set_body(sdp, "application/sdp")
        return True

    def ksr_answer(self, msg):
        message = Message()
        KSR.nathelper.set_contact_alias()
        if "m=" not in message.body:
            return 1
        access = KSR.pv.get("$pr") == "tls"
        sdp = message.body
        if access and ("RTP/SAVP" not in sdp or "a=crypto:" not in sdp):
            tell(broken="an answer without RTP/SAVP or a=crypto")
            keep(f"broken-{message.value('Call-ID')}", "1")
            return 1
        if access and "3ge2ae" in sdp:
            tell(broken="3ge2ae in an answer")
        sdp = rtpengine(
            "answer", sdp=sdp, call_id=message.value("Call-ID"), from_tag=KSR.pv.get("$ft"), to_tag=KSR.pv.get("$tt"),
            **COMMON,
        )  # fmt: skip
        KSR.textops.set_body(sdp, "application/sdp")
        return 1

    def ksr_reply_route(self, msg):
        return 1

    def ksr_onsend_route(self, msg):
        return 1
