------------------------------ MODULE Forking ------------------------------
(* One INVITE with a key in it (SDES), forked to several terminals. The phases of each dialog, which of     *)
(* them let speech out and which are shown as confirmed come from the code: ForkTable is generated from it. *)
(*                                                                                                          *)
(* Signalling loses, delays and reorders: `net` is a set, what is in it may be read at any time or never.   *)
(* Every terminal has the INVITE, and may send any response to it at any time and again; `callee` # None    *)
(* stands for that. To refuse an offer is the same as to lose it: the caller may give it up at any time.    *)
(* The attacker reads all media and owns one terminal that does not take the call: any of them.             *)
EXTENDS Naturals, TLC, ForkTable

CONSTANTS Dialogs,    \* one for each terminal that the INVITE goes to
          MaxFresh,   \* fresh keys that the caller may make, in all dialogs together
          RekeyRule   \* TRUE: our rules. FALSE: the caller speaks with the key of the INVITE

VARIABLES caller,   \* the caller's phase of each dialog, or None
          key,      \* the caller's key in use in each dialog
          open,     \* the key in the caller's open offer
          live,     \* the dialog that took the call, or None
          callee,   \* the terminal's phase of its dialog, or None
          heard,    \* the caller's key, as the terminal has agreed to it
          knows,    \* keys that the terminal of a dialog has, or can have, seen
          made,     \* fresh keys made so far, of all dialogs
          net,      \* offers and answers within dialogs on their way
          spoken    \* <<dialog, key>> of packets with the caller's speech

vars == <<caller, key, open, live, callee, heard, knows, made, net, spoken>>

InviteKey == <<"invite", 0>>
NoKey == <<"none", 0>>
Fresh(d) == <<d, made + 1>>
Msg(kind, d, k) == [kind |-> kind, dialog |-> d, key |-> k]
Agreed(k) == IF k = InviteKey THEN "invite-key-agreed" ELSE "fresh-key-agreed"

Init == /\ caller = [d \in Dialogs |-> None]
        /\ key = [d \in Dialogs |-> NoKey]
        /\ open = [d \in Dialogs |-> NoKey]
        /\ live = None
        /\ callee = [d \in Dialogs |-> None]
        /\ heard = [d \in Dialogs |-> NoKey]
        /\ knows = [d \in Dialogs |-> {InviteKey}]
        /\ made = 0
        /\ net = {}
        /\ spoken = {}

---------------------------------------------------------------------------
(* Terminals: what they do within the protocol. What they leave out they may leave out for ever. *)

TerminalAnswersInvite(d) ==
    /\ callee[d] = None
    /\ callee' = [callee EXCEPT ![d] = EarlyShared]
    /\ heard' = [heard EXCEPT ![d] = InviteKey]
    /\ UNCHANGED <<caller, key, open, live, knows, made, net, spoken>>

(* The caller has acknowledged a 2xx of this dialog, be it to end it at once. *)
TerminalGetsAck(d) ==
    /\ callee[d] \in Early /\ caller[d] \in Live \cup {Retired}
    /\ callee' = [callee EXCEPT ![d] = Next(@, "takes-call")]
    /\ UNCHANGED <<caller, key, open, live, heard, knows, made, net, spoken>>

TerminalGetsOfferOrAnswer(d) ==
    \E m \in net :
        /\ m.kind \in {"offer", "caller-answer"} /\ m.dialog = d
        /\ callee[d] # None
        /\ callee' = [callee EXCEPT ![d] = Next(@, Agreed(m.key))]
        /\ heard' = [heard EXCEPT ![d] = m.key]
        /\ net' = (net \ {m}) \cup IF m.key = open[d] THEN {Msg("answer", d, m.key)} ELSE {}
        /\ UNCHANGED <<caller, key, open, live, knows, made, spoken>>

TerminalOffers(d) ==
    /\ callee[d] # None /\ caller[d] # Retired /\ Msg("callee-offer", d, NoKey) \notin net
    /\ net' = net \cup {Msg("callee-offer", d, NoKey)}
    /\ UNCHANGED <<caller, key, open, live, callee, heard, knows, made, spoken>>

---------------------------------------------------------------------------
(* The caller. It speaks all the time; what leaves is what the gate lets out. *)

GateOpen(phase) == IF RekeyRule THEN phase \in CallerMaySpeak ELSE phase \in Live

Speaks == spoken' = spoken \cup {<<d, key'[d]>> : d \in {e \in Dialogs : GateOpen(caller'[e])}}

(* What still means something: the rest meets no transaction, or a dialog that is over. *)
Meaningful == {m \in net : CASE m.kind = "answer" -> open'[m.dialog] = m.key
                             [] m.kind = "callee-offer" -> caller'[m.dialog] # Retired
                             [] OTHER -> TRUE}

CallerGets18x(d) ==
    /\ callee[d] # None /\ caller[d] = None
    /\ caller' = [caller EXCEPT ![d] = IF live = None THEN EarlyShared ELSE Retired]
    /\ key' = [key EXCEPT ![d] = IF live = None THEN InviteKey ELSE NoKey]
    /\ UNCHANGED <<open, live, callee, heard, knows, made>> /\ net' = Meaningful /\ Speaks

(* The first 2xx takes the call; a further one is acknowledged and ended. *)
CallerGets2xx(d) ==
    /\ callee[d] # None /\ live # d /\ (live = None => caller[d] # Retired)
    /\ LET before == IF caller[d] = None THEN EarlyShared ELSE caller[d]
       IN  IF live = None
           THEN /\ live' = d
                /\ caller' = [e \in Dialogs |-> IF e = d THEN Next(before, "takes-call")
                                                ELSE IF caller[e] = None THEN None ELSE Next(caller[e], "loses")]
                /\ key' = [e \in Dialogs |-> IF e # d THEN NoKey ELSE IF key[d] = NoKey THEN InviteKey ELSE key[d]]
                /\ open' = [e \in Dialogs |-> IF e = d THEN open[d] ELSE NoKey]
           ELSE /\ caller' = [caller EXCEPT ![d] = Next(before, "ends")]
                /\ key' = [key EXCEPT ![d] = NoKey]
                /\ open' = [open EXCEPT ![d] = NoKey]
                /\ live' = live
    /\ UNCHANGED <<callee, heard, knows, made>> /\ net' = Meaningful /\ Speaks

(* By UPDATE in an early dialog, by re-INVITE in the call. Whoever the offer goes to can know its key. *)
CallerRekeys(d) ==
    /\ RekeyRule
    /\ caller[d] \in Shared /\ open[d] = NoKey /\ made < MaxFresh
    /\ made' = made + 1
    /\ open' = [open EXCEPT ![d] = Fresh(d)]
    /\ knows' = [knows EXCEPT ![d] = @ \cup {Fresh(d)}]
    /\ net' = net \cup {Msg("offer", d, Fresh(d))}
    /\ caller' = [caller EXCEPT ![d] = Next(@, "fresh-key-offered")]
    /\ UNCHANGED <<key, live, callee, heard>> /\ Speaks

CallerGetsAnswer(d) ==
    \E m \in net :
        /\ m.kind = "answer" /\ m.dialog = d /\ m.key = open[d]
        /\ net' = net \ {m}
        /\ key' = [key EXCEPT ![d] = m.key]
        /\ open' = [open EXCEPT ![d] = NoKey]
        /\ caller' = [caller EXCEPT ![d] = Next(@, Agreed(m.key))]
        /\ UNCHANGED <<live, callee, heard, knows, made>> /\ Speaks

(* Refused (488), glare (491), or no answer (408). *)
CallerGivesUpOffer(d) ==
    /\ open[d] # NoKey
    /\ open' = [open EXCEPT ![d] = NoKey]
    /\ caller' = [caller EXCEPT ![d] = Next(@, "rekey-failed")]
    /\ UNCHANGED <<key, live, callee, heard, knows, made>> /\ net' = Meaningful /\ Speaks

(* The caller's answer has a fresh key while the dialog is shared, the key in use after that. *)
CallerGetsOffer(d) ==
    /\ Msg("callee-offer", d, NoKey) \in net
    /\ caller[d] \notin {None, Retired} /\ open[d] = NoKey      \* else 481, 491
    /\ LET fresh == RekeyRule /\ caller[d] \in Shared
           k == IF fresh THEN Fresh(d) ELSE key[d]
       IN  /\ fresh => made < MaxFresh
           /\ net' = (net \ {Msg("callee-offer", d, NoKey)}) \cup {Msg("caller-answer", d, k)}
           /\ made' = IF fresh THEN made + 1 ELSE made
           /\ knows' = [knows EXCEPT ![d] = @ \cup {k}]
           /\ key' = [key EXCEPT ![d] = k]
           /\ caller' = [caller EXCEPT ![d] = Next(@, Agreed(k))]
    /\ UNCHANGED <<open, live, callee, heard>> /\ Speaks

CallerEnds(d) ==
    /\ caller[d] \notin {None, Retired}
    /\ caller' = [caller EXCEPT ![d] = Next(@, "ends")]
    /\ key' = [key EXCEPT ![d] = NoKey]
    /\ open' = [open EXCEPT ![d] = NoKey]
    /\ UNCHANGED <<live, callee, heard, knows, made>> /\ net' = Meaningful /\ Speaks

---------------------------------------------------------------------------

Step == \E d \in Dialogs :
    \/ TerminalAnswersInvite(d) \/ TerminalGetsAck(d) \/ TerminalGetsOfferOrAnswer(d) \/ TerminalOffers(d)
    \/ CallerGets18x(d) \/ CallerGets2xx(d) \/ CallerRekeys(d) \/ CallerGetsAnswer(d) \/ CallerGivesUpOffer(d)
    \/ CallerGetsOffer(d) \/ CallerEnds(d)

Spec == Init /\ [][Step]_vars

Symmetry == Permutations(Dialogs)

---------------------------------------------------------------------------
(* What must hold *)

(* No absent row of the table is ever asked for. *)
EveryRowIsThere == \A d \in Dialogs : caller[d] # Error /\ callee[d] # Error

OneLiveDialog == \A d \in Dialogs : caller[d] \in Live => d = live

(* B7. What the caller says goes to the terminal that took the call, under a key that no other terminal *)
(* has seen: before, then, or later.                                                                    *)
OnlyTheTakerHears ==
    \A packet \in spoken : \A loser \in Dialogs \ {live} : packet[2] \notin knows[loser]

(* "Confirmed" is shown, at either end, only while no other terminal knows the caller's key. *)
StatusIsTrue ==
    \A d \in Dialogs : \A other \in Dialogs \ {d} :
        /\ caller[d] \in Confirmed => key[d] \notin knows[other]
        /\ callee[d] \in Confirmed => heard[d] \notin knows[other]
(* Not to hold: TLC is asked to break it, so that what holds does not hold for want of calls. *)
NobodyIsHeard == \A packet \in spoken : packet[1] # live \/ \E d \in Dialogs \ {live} : callee[d] = None
=============================================================================
