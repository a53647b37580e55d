"""Sphinx configuration; built with -n -W, so that a broken reference is an error."""

from importlib.metadata import version as _version

project = "imsmediasec"
author = "The imsmediasec maintainers"
copyright = "The imsmediasec maintainers, Apache-2.0"
release = _version("imsmediasec")
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.doctest", "sphinx.ext.intersphinx"]
intersphinx_mapping: dict[str, tuple[str, str | None]] = {}  # the build needs no network
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "changes"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"
nitpick_ignore_regex = [("py:.*", r"(?!imsmediasec).*")]  # names of the standard library and of others

html_theme = "furo"
html_title = "imsmediasec"
html_static_path: list[str] = []
