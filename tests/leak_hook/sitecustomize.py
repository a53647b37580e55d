"""For test_no_leaks.py, by PYTHONPATH, in every process of an example: all secrets and all logs go to files.

Python runs this file at its start. SECRETS gets the octets of each `Secret` that is made and each session key that is
derived, in hex, a line each; LOGS gets everything that is logged, DEBUG and asyncio's own included.
"""

import asyncio
import logging
import os


def watch(folder: str) -> None:
    from imsmediasec.media import srtp_kdf
    from imsmediasec.secret import Secret

    secrets = open(os.path.join(folder, f"{os.getpid()}.secrets"), "a", buffering=1)  # noqa: SIM115  # for life
    make, derive = Secret.__init__, srtp_kdf.aes_cm_prf

    def made(self: Secret, octets: bytes) -> None:
        print(bytes(octets).hex(), file=secrets)
        make(self, octets)

    def derived(key: bytes, salt: bytes, label: int, length: int) -> bytes:
        result = derive(key, salt, label, length)
        print(result.hex(), file=secrets)
        return result

    Secret.__init__ = made  # type: ignore[method-assign]
    srtp_kdf.aes_cm_prf = derived
    logging.basicConfig(level=logging.DEBUG, filename=os.path.join(folder, f"{os.getpid()}.log"))
    asyncio.log.logger.setLevel(logging.DEBUG)
    logging.getLogger("leak-hook").debug("watching")


if "LEAK_FOLDER" in os.environ:
    watch(os.environ["LEAK_FOLDER"])
