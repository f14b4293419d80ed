"""A module imports only from rows above its own in the tree of the README."""

import ast
from pathlib import Path

import videomm

PACKAGE = Path(videomm.__file__).parent
# Rows from the bottom up; modules of one row may import each other.
ROWS = [
    ["errors"],
    ["types", "config", "progress"],
    ["sampling"],
    ["video"],
    ["preprocess", "towers", "text_models"],
    ["encoder"],
    ["timeline"],
    ["cache"],
    ["transcribe"],
    ["speech"],
    ["models"],
    ["hub"],
    ["tasks"],
    ["render"],
    ["pipeline"],
    ["training", "evaluation", "sharing"],
    ["cli"],
]
RANK = {name: i for i, row in enumerate(ROWS) for name in row}


def imports(path: Path) -> set[str]:
    """Top-level names below videomm that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            if node.module == "videomm":
                found.update(f"videomm.{item.name}" for item in node.names)
        elif isinstance(node, ast.Import):
            found.update(item.name for item in node.names)
    return {name.split(".")[1] for name in found if name.startswith("videomm.")}


def test_no_module_imports_from_a_row_below_its_own():
    wrong, seen = [], set()
    for path in sorted(PACKAGE.rglob("*.py")):
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        seen.add(own)
        for name in imports(path):
            if name != "__version__" and RANK[name] > RANK[own]:
                wrong.append(f"{path.relative_to(PACKAGE)} imports videomm.{name}")
    assert wrong == []
    assert seen == set(RANK)


def test_only_the_encoder_knows_open_clip_and_only_video_decodes():
    # The reel alone encodes, and decodes the sound that goes with it.
    homes = {
        "open_clip": {"text_models", "encoder", "training"},
        "decord": {"video", "cli"},
        "av": {"video", "cli", "render/reel", "render/soundtrack"},
    }
    for path in PACKAGE.rglob("*.py"):
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [item.name for item in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for name in names:
                home = homes.get(name.split(".")[0])
                places = {own, str(path.relative_to(PACKAGE).with_suffix(""))}
                assert home is None or places & home, f"{path} imports {name}"
