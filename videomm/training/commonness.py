"""Count how often captions of training pictures speak of each possible answer.

python -m videomm.training.commonness --data ../shared/data
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from videomm.tasks.candidates import read_candidates
from videomm.tasks.commonness import COMMONNESS_FILE, Commonness, kinds_of, subject_words
from videomm.tasks.concepts import read_bank
from videomm.tasks.phrases import content_words, lemmas
from videomm.training.image_data import CAPTION_SETS, load_rows

HEADER = """\
# How many captions of training pictures (flickr8k, coco_mini) speak of each entry, by what else
# they are about; `*` counts the captions themselves.
"""
MOST_NARROW = 3  # words such as `dog` that are a kind of subject of their own


def count_entries(captions: Sequence[str], entries: Sequence[str]) -> Commonness:
    """Count captions that have all words of an entry, in any form."""
    kinds_of_word = subject_words()
    animals = Counter(
        word
        for caption in captions
        for word in content_words(caption)
        if kinds_of_word.get(word) == "animals"
    )
    narrow = [word for word, _ in animals.most_common(MOST_NARROW)]
    kinds = [kinds_of(content_words(caption), narrow) for caption in captions]
    having: dict[str, set[int]] = defaultdict(set)
    for number, caption in enumerate(captions):
        for word in lemmas(caption):
            having[word].add(number)

    def count(found: Iterable[int]) -> dict[str, int]:
        seen = Counter(kind for number in found for kind in kinds[number])
        return {kind: seen[kind] for kind in ("all", "people", "animals", *narrow)}

    counts = {}
    for entry in entries:
        words = [having[word] for word in lemmas(entry)]
        counts[entry] = count(set.intersection(*words) if words else ())
    return Commonness(count(range(len(captions))), counts)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file; exit code 0."""
    parser = argparse.ArgumentParser(
        prog="python -m videomm.training.commonness", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--out", type=Path, default=COMMONNESS_FILE, help="the file to write")
    options = parser.parse_args(arguments)
    rows = [row for name in CAPTION_SETS for row in load_rows(options.data, name)]
    captions = [caption for row in rows if row.split == "train" for caption in row.captions]
    candidates = (item for items in read_candidates().answers.values() for item in items)
    entries = dict.fromkeys([*read_bank().entries, *candidates])
    found = count_entries(captions, list(entries))
    table = {"*": found.totals, **found.counts}
    lines = ["\t".join(["entry", *found.totals])]
    lines += ["\t".join([entry, *map(str, row.values())]) for entry, row in table.items()]
    options.out.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
