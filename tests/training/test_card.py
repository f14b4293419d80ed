import pytest

from tests.render.test_training_report import METRICS, SETTINGS
from videomm.training.card import build_card


def test_the_card_says_what_it_is_and_how_good():
    card = build_card(
        "pets",
        SETTINGS | {"labels": ["cat", "a|b"]},
        METRICS
        | {
            "counts": {split: {"cat": 3, "a|b": 2} for split in ("train", "val", "test")},
            "warnings": ["no video in the folder /home/me/pets"],
        },
        ["no clip in val of: cat"],
    )
    for text in (
        "# pets\n",
        "for 2 labels (one a clip)",
        "`tiny@0`, whose terms hold for this\nmodel, too",
        "| top-1 | 0.750 [0.500, 1.000] | 0.750 [0.500, 1.000] | 0.500 |",
        "Gain over zero-shot: +0.250 top-1",
        "| a\\|b | 2 | 2 | 2 |",
        "- no clip in val of: cat",
        "- 1 of the clips could not be read and was left out.",
    ):
        assert text in card
    assert card.startswith("---\nlibrary_name: videomm\n")


def test_the_card_names_no_files_of_the_user():
    skipped = [{"clip": "a", "kind": "NotAVideoError", "message": "/home/me/a.mp4 is no video"}]
    metrics = METRICS | {"skipped": skipped, "warnings": ["no video in /home/me/pets"]}
    card = build_card("pets", SETTINGS | {"data": "/home/me/pets"}, metrics, [])
    assert "/home/me" not in card


@pytest.mark.parametrize("tune", ["head", "temporal"])
def test_what_was_trained(tune):
    settings = SETTINGS | {"train": {"tune": tune}, "multi_label": True}
    card = build_card("x", settings, METRICS | {"skipped": []}, [])
    assert ("temporal Transformer" in card) == (tune == "temporal")
    assert "any number of them a clip" in card
    assert "could not be read" not in card
