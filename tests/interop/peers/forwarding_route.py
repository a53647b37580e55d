"""KEMI script of Kamailio: a registrar and forking proxy that also forwards, as the orders of the test say.

orders.json, beside the script, is read for every message:
    detour         {port of a contact: port to send its INVITE and CANCEL to}
    forward        {user dialled: {"to": URI, "on": status pattern, "follow_302": bool, "wait": ms, "notify": bool}}
    history        {port that answers: History-Info line to add}
    assert         {user that calls: URI for P-Asserted-Identity}
    assert_answer  {port that answers: URI for P-Asserted-Identity}
"""

import json
import os

import KSR as KSR

ORDERS = os.path.join(os.path.dirname(__file__), "orders.json")


def orders():
    with open(ORDERS) as file:
        return json.load(file)


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
        asserted = orders().get("assert", {}).get(KSR.pv.get("$fU"))
        if asserted:
            KSR.hdr.append("P-Asserted-Identity: <" + asserted + ">\r\n")
        forward = orders().get("forward", {}).get(KSR.pv.get("$rU"))
        if KSR.registrar.lookup("location") < 0:
            KSR.sl.sl_send_reply(404, "Not Found")
            return 1
        if method == "INVITE":
            KSR.tm.t_on_branch("ksr_branch")
            if forward:
                KSR.tm.t_on_failure("ksr_failure")
                KSR.tm.t_on_reply("ksr_answer")
                KSR.tm.t_set_fr(forward.get("wait", 30000), 10000)
        KSR.tm.t_relay()
        return 1

    def ksr_branch(self, msg):
        port = str(KSR.pv.get("$rp"))
        detour = orders().get("detour", {}).get(port)
        if detour:
            KSR.pv.sets("$du", f"sip:127.0.0.1:{detour}")
        return 1

    def ksr_failure(self, msg):
        if KSR.tm.t_is_canceled() > 0:
            return 1
        first = KSR.pv.get("$oU")
        forward = orders().get("forward", {}).get(first)
        if not forward:
            return 1
        follow = forward.get("follow_302") and KSR.tm.t_check_status("302") > 0
        if not follow and KSR.tm.t_check_status(forward.get("on", "999")) < 0:
            return 1
        target = forward["to"]
        if follow:
            contact = KSR.pv.get("$T_rpl($ct)")
            target = contact.split("<")[-1].split(">")[0]
        KSR.pv.sets("$ru", target)
        if KSR.registrar.lookup("location") < 0:
            return 1
        if forward.get("notify"):
            KSR.hdr.append_to_reply(history(first, target))
            KSR.tm.t_reply(181, "Call Is Being Forwarded")
        KSR.tm.t_on_branch("ksr_branch")
        KSR.tm.t_on_reply("ksr_answer")
        KSR.tm.t_set_fr(30000, 10000)
        KSR.tm.t_relay()
        return 1

    def ksr_answer(self, msg):
        port = str(KSR.pv.get("$sp"))
        said = orders().get("history", {}).get(port)
        if said and int(KSR.pv.get("$rs")) >= 180:
            KSR.hdr.append(said)
        return 1

    def ksr_reply_route(self, msg):
        port = str(KSR.pv.get("$sp"))
        asserted = orders().get("assert_answer", {}).get(port)
        if asserted and KSR.pv.get("$rm") == "INVITE":
            KSR.hdr.append("P-Asserted-Identity: <" + asserted + ">\r\n")
        return 1

    def ksr_onsend_route(self, msg):
        return 1


def history(first, target):
    return f"History-Info: <sip:{first}@ims.test>;index=1, <{target}>;index=1.1;mp=1\r\n"
