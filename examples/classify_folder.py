"""A CSV of the best label of every video in a folder; bad files get their error instead.

Usage: python examples/classify_folder.py FOLDER "a cat,a dog,a car"
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import videomm


def main(folder: str, labels: str) -> None:
    """Write the CSV to stdout."""
    pipe = videomm.load("tiny")
    rows = csv.writer(sys.stdout)
    rows.writerow(["path", "label", "score", "error"])
    for path in sorted(Path(folder).iterdir()):
        try:
            best = pipe.classify(path, labels.split(",")).labels[0]
        except videomm.VideommError as error:
            rows.writerow([path.name, "", "", error])
        else:
            rows.writerow([path.name, best.label, f"{best.score:.2f}", ""])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
