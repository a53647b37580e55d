"""What README and documentation show is true: snippets run, files are read, commands and options exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import imsmediasec as ims
from imsmediasec.agent.config_file import read_config
from imsmediasec.cli.commands import cli
from imsmediasec.errors import LocalError

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)]
FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,})(?P<info>\w*)\n(?P<body>.*?)^(?P=indent)(?P=fence) *$", re.S | re.M)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, *languages: str) -> list[tuple[int, str]]:
    """Fenced blocks of these languages: line number and text without indentation."""
    text = page.read_text("utf-8")
    found = []
    for match in FENCE.finditer(text):
        if match["info"] in languages:
            cut = len(match["indent"])
            body = "".join(line[cut:] for line in match["body"].splitlines(keepends=True))
            found.append((text.count("\n", 0, match.start()) + 2, body))
    return found


def with_blocks(*languages: str) -> list[Path]:
    return [page for page in PAGES if blocks(page, *languages)]


def command_lines(page: Path) -> Iterator[str]:
    """Every command that a page shows: after "$ " in a console block, or indented by four spaces."""
    for _, body in blocks(page, "console"):
        yield from (line[2:] for line in body.splitlines() if line.startswith("$ "))
    text = FENCE.sub("", page.read_text("utf-8"))
    yield from (line.strip() for line in text.splitlines() if re.match(r" {4}(make|imsmediasec|pip) ", line))


def arguments(line: str) -> list[str]:
    """The words of a command line, without comment and program path."""
    words = shlex.split(line, comments=True)
    words[0] = words[0].removeprefix(".venv/bin/")
    return words


@pytest.mark.parametrize("page", with_blocks("python"), ids=name_of)
def test_python_snippets_run(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A block marked ``python`` runs; those of one page share their names, from top to bottom."""
    names: dict[str, object] = {"__name__": "snippet"}
    for line, body in blocks(page, "python"):
        exec(compile("\n" * (line - 1) + body, name_of(page), "exec"), names)


@pytest.mark.parametrize("page", with_blocks("py", "python", "diff"), ids=name_of)
def test_snippets_use_names_that_exist(page: Path) -> None:
    """A block marked ``py`` is a part of a program: it compiles, and what it takes from the library is there."""
    for line, body in blocks(page, "py"):
        compile("\n" * (line - 1) + body, name_of(page), "exec")
    for _, body in blocks(page, "py", "python", "diff"):
        for name in re.findall(r"\bims\.(\w+)", body):
            assert hasattr(ims, name), name
        for module, imported in re.findall(r"from (imsmediasec[\w.]*) import ([\w, ]+)", body):
            there = __import__(module, fromlist=["_"])
            assert all(hasattr(there, name.strip()) for name in imported.split(","))


@pytest.mark.parametrize("page", with_blocks("toml"), ids=name_of)
def test_toml_snippets_are_read(page: Path, tmp_path: Path) -> None:
    for line, body in blocks(page, "toml"):
        file = tmp_path / f"line-{line}.toml"
        file.write_text(body, "utf-8")
        read_config(file)


def test_every_configuration_key_is_listed(tmp_path: Path) -> None:
    """docs/reference/configuration.md has exactly the keys that the agent reads."""
    documented: dict[str, set[str]] = {}
    section = ""
    for line in (ROOT / "docs/reference/configuration.md").read_text("utf-8").splitlines():
        if heading := re.match(r"## `\[+(\w+)\]+`", line):
            section = heading[1]
        elif row := re.match(r"\| `([\w-]+)`", line):
            documented.setdefault(section, set()).add(row[1])
    headers = {"agent": "[agent]", "account": "[account]", "policy": "[policy]", "callee": '[[callee]]\npattern="*"'}
    assert documented.keys() == headers.keys()
    for section, header in headers.items():
        file = tmp_path / "config.toml"
        file.write_text(f"{header}\nno-such-key = 1\n", "utf-8")
        with pytest.raises(LocalError) as caught:
            read_config(file)
        known = set(caught.value.reason.partition("known: ")[2].split(", "))
        assert (
            documented[section] | (documented["policy"] - {"request-prefix"} if section == "callee" else set()) == known
        )


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_exist(page: Path) -> None:
    """Commands that are shown exist, with these options; make targets and programs too."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    for line in command_lines(page):
        words = arguments(line)
        if words[0] == "make":
            assert set(words[1:]) <= targets, line
        elif words[0] == "imsmediasec":
            command = cli.commands[words[1]]
            with command.make_context(words[1], words[2:], parent=click.Context(cli)):
                pass
        elif words[0] == "python" and words[1].endswith(".py"):
            source = (ROOT / words[1]).read_text("utf-8")
            assert all(f'"{word}"' in source for word in words[2:] if word.startswith("--")), line


def test_readme_starts_with_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert [" ".join(arguments(line)) for line in command_lines(ROOT / "README.md")][:2] == ["make call", "make test"]
    assert len(text.splitlines()) < 150


def test_links_of_the_readme_lead_somewhere() -> None:
    """Sphinx checks the links between its pages; the README is no page of it."""
    text = (ROOT / "README.md").read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_public_name_is_in_the_reference() -> None:
    text = "\n".join(path.read_text("utf-8") for path in (ROOT / "docs/reference").glob("*.md"))
    missing = [name for name in ims.__all__ if not re.search(rf"\bimsmediasec\.{name}\b", text)]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_pages_name_no_place_of_this_machine(page: Path) -> None:
    """No absolute path of the machine on which a page was written."""
    assert re.findall(r"/(?:work|home|root|tmp)/\w+", page.read_text("utf-8")) == []
