------------------------------ MODULE ForkTable ------------------------------
(* Written by scripts/generate-fork-model from imsmediasec/negotiation/forking.py. Do not edit. *)

None == "none"
Error == "error"
EarlyShared == "early-shared"
Retired == "retired"

Shared == {"early-rekeying", "early-shared", "live-rekeying", "live-shared"}
Live == {"live-private", "live-rekeying", "live-shared"}
Early == {"early-private", "early-rekeying", "early-shared"}

(* gate_of: who may send what carries speech *)
CallerMaySpeak == {"live-private"}
CalleeMaySpeak == {"early-private", "early-rekeying", "early-shared", "live-private", "live-rekeying", "live-shared"}

(* fork_state_of *)
Confirmed == {"live-private"}

(* FORK_TABLE *)
Next(p, i) ==
    CASE p = "early-shared" /\ i = "fresh-key-offered" -> "early-rekeying"
      [] p = "early-shared" /\ i = "fresh-key-agreed" -> "early-private"
      [] p = "early-shared" /\ i = "invite-key-agreed" -> "early-shared"
      [] p = "early-shared" /\ i = "takes-call" -> "live-shared"
      [] p = "early-shared" /\ i = "loses" -> "retired"
      [] p = "early-shared" /\ i = "ends" -> "retired"
      [] p = "early-rekeying" /\ i = "fresh-key-agreed" -> "early-private"
      [] p = "early-rekeying" /\ i = "invite-key-agreed" -> "early-shared"
      [] p = "early-rekeying" /\ i = "rekey-failed" -> "early-shared"
      [] p = "early-rekeying" /\ i = "takes-call" -> "live-rekeying"
      [] p = "early-rekeying" /\ i = "loses" -> "retired"
      [] p = "early-rekeying" /\ i = "ends" -> "retired"
      [] p = "early-private" /\ i = "fresh-key-offered" -> "early-private"
      [] p = "early-private" /\ i = "fresh-key-agreed" -> "early-private"
      [] p = "early-private" /\ i = "invite-key-agreed" -> "early-shared"
      [] p = "early-private" /\ i = "rekey-failed" -> "early-private"
      [] p = "early-private" /\ i = "takes-call" -> "live-private"
      [] p = "early-private" /\ i = "loses" -> "retired"
      [] p = "early-private" /\ i = "ends" -> "retired"
      [] p = "live-shared" /\ i = "fresh-key-offered" -> "live-rekeying"
      [] p = "live-shared" /\ i = "fresh-key-agreed" -> "live-private"
      [] p = "live-shared" /\ i = "invite-key-agreed" -> "live-shared"
      [] p = "live-shared" /\ i = "ends" -> "retired"
      [] p = "live-rekeying" /\ i = "fresh-key-agreed" -> "live-private"
      [] p = "live-rekeying" /\ i = "invite-key-agreed" -> "live-shared"
      [] p = "live-rekeying" /\ i = "rekey-failed" -> "live-shared"
      [] p = "live-rekeying" /\ i = "ends" -> "retired"
      [] p = "live-private" /\ i = "fresh-key-offered" -> "live-private"
      [] p = "live-private" /\ i = "fresh-key-agreed" -> "live-private"
      [] p = "live-private" /\ i = "invite-key-agreed" -> "live-shared"
      [] p = "live-private" /\ i = "rekey-failed" -> "live-private"
      [] p = "live-private" /\ i = "ends" -> "retired"
      [] p = "retired" /\ i = "loses" -> "retired"
      [] p = "retired" /\ i = "ends" -> "retired"
      [] OTHER -> Error
==============================================================================
