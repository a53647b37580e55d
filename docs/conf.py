"""Sphinx configuration; built with -n -W, so that a broken reference is an error."""

import sys
from importlib.metadata import version as _version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "imsmediasec"
author = "The imsmediasec maintainers"
copyright = "The imsmediasec maintainers, Apache-2.0"
release = _version("imsmediasec")
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.doctest", "sphinx.ext.intersphinx", "from_code"]
intersphinx_mapping: dict[str, tuple[str, str | None]] = {}  # the build needs no network
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_ext", "changes"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
# Names that public signatures mention, but that are not public themselves.
nitpick_ignore = [
    ("py:class", name)
    for name in (
        "imsmediasec.negotiation.negotiation.Text",
        "imsmediasec.media.srtp_ring.KeyRing",
        "imsmediasec.media.srtp_index.Start",
        "imsmediasec.media.srtp_stream.SendStream",
        "imsmediasec.media.srtp_stream.ReceiveStream",
        "imsmediasec.agent.b2bua.BackToBack",
        "imsmediasec.sip.message.SipMessage",
        "imsmediasec.sip.grammar.Parameters",
    )
]
nitpick_ignore_regex = [("py:.*", r"(?!imsmediasec).*")]  # names of the standard library and of others

html_theme = "furo"
html_title = "imsmediasec"
html_static_path = ["_static"]
