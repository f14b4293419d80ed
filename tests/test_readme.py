"""Every snippet of the README runs and prints what the README says; its tree is the real one."""

from __future__ import annotations

import doctest
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.labelled_clips import (
    PATTERNS,
    write_folders,
    write_pattern,
    write_ratings,
    write_segments,
)
from tests.picture_pairs import write_pairs
from tests.sharing.hub_server import WRITER, serve
from videomm.cli.demo import CLIP

README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def without_numbers(text: str) -> list[str]:
    """Lines with scores, bars and digests taken out: they differ a little between processors."""
    text = re.sub(r"@[0-9a-f]{16}", "@ID", text)
    text = re.sub(r"[-+]?\d+\.\d+", "#", text.replace("█", ""))
    text = re.sub(r"epoch \d+ of \d+", "epoch # of #", text)
    return [" ".join(line.split()) for line in text.strip().splitlines()]


def split_words(lines: list[str]) -> tuple[list[str], list[str]]:
    """Lines with the words of scenes taken out, and those words."""
    spoken = re.compile(r"^(0:# - 0:#) (.*\.)$")
    found = [spoken.match(line) for line in lines]
    rest = [match[1] if match else line for line, match in zip(lines, found, strict=True)]
    return rest, [match[2] for match in found if match]


def commands() -> list[tuple[str, str]]:
    """(command, expected output) of the console blocks."""
    found = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, output = part.partition("\n")
            if line.startswith("videomm "):
                found.append((line, output))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a reader of the README would stand: with a clip.mp4, some clips, and labelled ones."""
    folder = tmp_path_factory.mktemp("readme")
    shutil.copy(CLIP, folder / "clip.mp4")
    (folder / "clips").mkdir()
    shutil.copy(CLIP, folder / "clips" / "one.mp4")
    (folder / "clips" / "broken.mp4").write_text("not a video")
    write_folders(folder / "patterns", list(PATTERNS), 12, write_pattern)
    write_pattern(folder / "new.mp4", "dots", 503)
    write_segments(folder / "lights", 12)
    write_ratings(folder / "liked", 12)
    write_pairs(folder / "pictures", 30)
    (subtitles,) = blocks("srt")
    (folder / "talk.srt").write_text(subtitles)
    (settings,) = blocks("toml")
    (folder / "pairs.toml").write_text(settings)
    return folder


@pytest.fixture(scope="module")
def hub():
    """A stand-in for the Hugging Face hub."""
    with serve() as hub:
        yield hub


@pytest.mark.slow
@pytest.mark.parametrize(("line", "output"), commands(), ids=[c[0] for c in commands()])
def test_command_prints_what_the_readme_says(line, output, folder, hub):
    call = [sys.executable, "-m", "videomm.cli.main", *shlex.split(line)[1:]]
    env = os.environ | {
        "COLUMNS": "100",
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(folder / "hf"),
        "HF_TOKEN": WRITER,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    done = subprocess.run(call, cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr
    printed = (done.stdout + done.stderr).replace(str(ROOT) + os.sep, "")
    printed = printed.replace(hub.url, "https://huggingface.co")
    printed_lines, printed_words = split_words(without_numbers(printed))
    lines, words = split_words(without_numbers(output))
    assert printed_lines == lines
    # A word whose score lies on the threshold is said on one processor and not on another.
    same = sum(a == b for a, b in zip(printed_words, words, strict=True))
    assert same >= 0.6 * len(words)


class _Checker(doctest.OutputChecker):
    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        return without_numbers(want) == without_numbers(got)


@pytest.mark.slow
def test_python_snippets(folder, monkeypatch):
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    runner = doctest.DocTestRunner(_Checker(), optionflags=doctest.ELLIPSIS)
    for number, block in enumerate(blocks("python")):
        test = doctest.DocTestParser().get_doctest(block, names, f"block {number}", "README", 0)
        report: list[str] = []
        runner.run(test, out=report.append, clear_globs=False)
        names |= test.globs
        assert not report, "".join(report)
    assert runner.tries > 0


def test_tree_is_the_real_one():
    (tree,) = blocks("text")
    named = set(re.findall(r"[\w/]+(?:\.py|/)(?=\s|$)", tree))
    package = ROOT / "videomm"
    real = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    real |= {f"{path.name}/" for path in package.iterdir() if path.is_dir()} - {"__pycache__/"}
    assert named - {"videomm/"} == real


def test_links_to_files_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_says_nothing_of_the_machine_it_was_written_on():
    assert not re.search(r"/(home|root|work|tmp)/", README)
