"""Tables and pictures that are made of the code at build time, so that they cannot disagree with it.

Directives: ``transition-table``, ``transition-picture``, ``suite-table``, ``error-table``, ``quirk-table``,
``conformance-table``, ``file-diff``, ``command-help``. Cross-references lead to the name under which something is
public, and no page may name a place of the machine on which it is built.
"""

from __future__ import annotations

import csv
import importlib
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import unified_diff
from inspect import cleandoc, getdoc
from pathlib import Path
from typing import Any

import click
from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from state_picture import draw

import imsmediasec as ims
from imsmediasec.media import PylibsrtpBackend, srtp_libsrtp
from imsmediasec.suites import _ALIASES, ALL_SUITES, DEFAULT_PREFERENCE

_log = logging.getLogger(__name__)
ROOT = Path(__file__).parents[2]
PUBLIC_MODULES = (
    "imsmediasec",
    "imsmediasec.sdp",
    "imsmediasec.media",
    "imsmediasec.agent",
    "imsmediasec.adapters.pjsua2",
)


class _Rows(SphinxDirective):
    """A directive that gives a table in MyST."""

    def rows(self) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        head, rows = self.rows()
        lines = [_row(head), _row(["---"] * len(head)), *map(_row, rows)]
        holder = nodes.container()
        self.state.nested_parse(StringList(lines, source=self.name), self.content_offset, holder)
        return holder.children


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _table(name: str) -> Mapping[tuple[Any, Any], Any]:
    module, _, attribute = name.rpartition(".")
    table: Mapping[tuple[Any, Any], Any] = getattr(importlib.import_module(module), attribute)
    return table


class TransitionTable(_Rows):
    """One row a state, one column an input; an empty cell is an error."""

    required_arguments = 1

    def rows(self) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
        table = _table(self.arguments[0])
        states = type(next(iter(table))[0])
        inputs = type(next(iter(table))[1])
        head = ["", *(f"{i.value}" for i in inputs)]
        return head, (
            [f"**{state.value}**", *(table[state, i].value if (state, i) in table else "" for i in inputs)]
            for state in states
        )


class TransitionPicture(SphinxDirective):
    """The same table as a picture. The content places the states: one line a row of the picture."""

    required_arguments = 1
    has_content = True
    option_spec = {"quiet": directives.unchanged}  # noqa: RUF012

    def run(self) -> list[nodes.Node]:
        table = [(s.value, i.value, t.value) for (s, i), t in _table(self.arguments[0]).items()]
        rows = [[name for name in re.split(r"\s+", line.strip()) if name] for line in self.content]
        svg = draw(table, rows, quiet=frozenset(self.options.get("quiet", "").split()))
        return [nodes.raw("", svg, format="html")]


class SuiteTable(_Rows):
    """The suite table, and what the SRTP layer that comes with the library runs each suite on."""

    def rows(self) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
        runs = PylibsrtpBackend().capabilities.suites
        aliases = {suite: [name for name, one in _ALIASES.items() if one is suite] for suite in ALL_SUITES}
        head = ["suite", "key + salt", "SRTP tag", "SRTCP tag", "offered by default", "runs on", "also read as"]
        return head, (
            [
                f"`{suite.name}`",
                f"{suite.key_length} + {suite.salt_length}",
                f"{suite.srtp_tag_length}",
                f"{suite.srtcp_tag_length}",
                f"{DEFAULT_PREFERENCE.index(suite) + 1}." if suite in DEFAULT_PREFERENCE else "no",
                "libsrtp" if srtp_libsrtp.runs(suite) else "cryptography" if suite in runs else "not here",
                ", ".join(f"`{name}`" for name in aliases[suite]),
            ]
            for suite in ALL_SUITES
        )


class ErrorTable(_Rows):
    """Every error with the SIP status that it suggests."""

    def rows(self) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
        found: list[tuple[type[ims.MediaSecurityError], int]] = []

        def walk(kind: type[ims.MediaSecurityError], depth: int) -> None:
            found.append((kind, depth))
            for below in kind.__subclasses__():
                walk(below, depth + 1)

        walk(ims.MediaSecurityError, 0)
        head = ["error", "says", "status to answer"]
        return head, (
            [
                "&nbsp;" * 4 * depth + f"{{py:class}}`~imsmediasec.{kind.__name__}`",
                (getdoc(kind) or "").split("\n\n")[0],
                str(kind.default_status or ""),
            ]
            for kind, depth in found
        )


class QuirkTable(_Rows):
    """What a policy may tolerate."""

    def rows(self) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
        source = (ROOT / "imsmediasec/policy.py").read_text("utf-8")
        default = ims.SecurityPolicy().tolerate

        def what(quirk: ims.Quirk) -> str:
            match = re.search(rf'{quirk.name} = .*\n\s+"""(.*?)"""', source, re.DOTALL)
            return re.sub(r"\s+", " ", match[1]) if match else ""

        head = ["name", "what the peer does", "tolerated unless told otherwise"]
        return head, ([f"`{q.value}`", what(q), "yes" if q in default else "no"] for q in ims.Quirk)


class ConformanceTable(_Rows):
    """tests/conformance.csv."""

    def rows(self) -> tuple[Sequence[str], Iterable[Sequence[str]]]:
        self.env.note_dependency(str(ROOT / "tests/conformance.csv"))
        with (ROOT / "tests/conformance.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        head = ["id", "clause", "what", "shown by"]
        return head, (
            [
                row["id"],
                row["clause"],
                row["text"],
                "<br>".join(f"`{test}`" for test in row["tests"].split()) if row["status"] == "green" else "not yet",
            ]
            for row in rows
        )


class FileDiff(SphinxDirective):
    """What differs between two files of the repository, under their own names."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        texts = []
        for name in self.arguments:
            self.env.note_dependency(str(ROOT / name))
            texts.append((ROOT / name).read_text("utf-8").splitlines())
        difference = unified_diff(*texts, *self.arguments, lineterm="")
        text = "\n".join(difference)
        return [nodes.literal_block(text, text, language="diff")]


class CommandHelp(SphinxDirective):
    """Every command of the click program given, with its options."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module, _, name = self.arguments[0].rpartition(".")
        program: click.Group = getattr(importlib.import_module(module), name)
        lines: list[str] = []
        for command_name, command in program.commands.items():
            lines += [f"## imsmediasec {command_name}", "", _unwrapped(command.help or ""), ""]
            lines += ["| option | what |", "|---|---|"]
            for parameter in command.params:
                if isinstance(parameter, click.Option):
                    lines.append(_row([f"`{_spelling(parameter)}`", _help_of(parameter)]))
            epilog = re.sub(r"\x08\n?", "", command.epilog or "").strip("\n")
            if epilog:
                lines += ["", "```text", *epilog.splitlines(), "```"]
            lines.append("")
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def _spelling(option: click.Option) -> str:
    names = ", ".join(option.opts)
    if option.is_flag:
        return names
    choices = isinstance(option.type, click.Choice)
    return f"{names} {'|'.join(option.type.choices) if choices else option.metavar or option.type.name.upper()}"


def _help_of(option: click.Option) -> str:
    return (option.help or "").replace("[", "(").replace("]", ")")


def _unwrapped(text: str) -> str:
    return re.sub(r"(?<!\n)\n(?!\n)", " ", cleandoc(text)).strip()


def public_name(app: Sphinx, env: Any, node: Any, contnode: nodes.Element) -> nodes.Element | None:
    """A reference to where something is defined leads to where it is public."""
    target = str(node.get("reftarget", ""))
    if node.get("refdomain") != "py":
        return None
    domain = env.get_domain("py")
    path = target.split(".")
    for name in (path[-1], ".".join(path[-2:])):
        for module in PUBLIC_MODULES:
            full = f"{module}.{name}"
            if full != target and full in domain.objects and (len(path) > 1 or module == "imsmediasec"):
                return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", full, node, contnode)
    return None


def no_local_path(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.Node | None) -> None:
    """A page that names this machine's folders says more than it should, and differs from machine to machine."""
    if str(ROOT) in str(context.get("body", "")):
        _log.warning("%s: the page names %s", page, ROOT)


def setup(app: Sphinx) -> dict[str, bool]:
    for name, directive in {
        "transition-table": TransitionTable,
        "transition-picture": TransitionPicture,
        "suite-table": SuiteTable,
        "error-table": ErrorTable,
        "quirk-table": QuirkTable,
        "conformance-table": ConformanceTable,
        "file-diff": FileDiff,
        "command-help": CommandHelp,
    }.items():
        app.add_directive(name, directive)
    app.connect("missing-reference", public_name)
    app.connect("html-page-context", no_local_path)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
