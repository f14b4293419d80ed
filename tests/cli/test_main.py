import ast
import subprocess
import sys

import pytest

from videomm.cli.demo import CLIP
from videomm.types import clock

COMMANDS = [
    "classify",
    "summarize",
    "ask",
    "embed",
    "export",
    "push",
    "models",
    "doctor",
    "cache",
    "demo",
]


def test_help_names_every_command(videomm):
    done = videomm("--help")
    assert done.code == 0
    assert all(name in done.out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_has_an_example(videomm, name):
    done = videomm(name, "--help")
    assert done.code == 0
    assert f"Example: videomm {name}" in " ".join(done.out.split())


def test_help_never_imports_torch():
    code = (
        "import sys; sys.argv = ['videomm', 'classify', '--help']\n"
        "from videomm.cli.main import main\n"
        "try: main()\n"
        "finally: print(sorted({'torch', 'av', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_classify_imports_none_of_the_packages_that_take_seconds():
    code = (
        "import sys\n"
        "sys.argv = ['videomm', 'classify', sys.argv[1], '--labels', 'a cat,a dog', '--no-cache']\n"
        "from videomm.cli.main import main\n"
        "try: main()\n"
        "finally: print(sorted(name for name in sys.modules if '.' not in name))"
    )
    done = subprocess.run([sys.executable, "-c", code, CLIP], capture_output=True, text=True)
    assert "a cat" in done.stdout, done.stderr
    imported = set(ast.literal_eval(done.stdout.splitlines()[-1]))
    assert "torch" in imported
    slow = {"open_clip", "timm", "transformers", "torchvision", "sklearn", "scipy", "matplotlib"}
    assert not imported & (slow | {"sympy", "ftfy", "huggingface_hub"})


def test_version(videomm):
    from videomm import __version__

    assert videomm("--version").out == f"videomm {__version__}\n"


def test_nothing_given_shows_the_help(videomm):
    done = videomm()
    assert done.code == 2
    assert "classify" in done.out + done.err


def test_unknown_command(videomm):
    done = videomm("clasify")
    assert done.code == 2
    assert "No such command 'clasify'" in done.err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00.0"), (7.46, "0:07.5"), (59.96, "1:00.0"), (3723.04, "1:02:03.0")],
)
def test_clock(seconds, text):
    assert clock(seconds) == text
