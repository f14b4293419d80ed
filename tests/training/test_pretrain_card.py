from videomm.training.pretrain_card import FIGURES, build_card, compare
from videomm.training.pretrain_config import PretrainRunConfig

METRICS = {
    "figures": dict.fromkeys(FIGURES, 50.0),
    "start": dict.fromkeys(FIGURES, 52.5),
    "counts": {"train": 7, "val": 2, "texts": 9, "val_texts": 3},
    "parameters": {"image": 4649728, "text": 1234567},
    "skipped": [{"message": "'x.jpg' is not there"}],
    "warnings": ["figures are too good"],
}


def test_a_loss_is_as_visible_as_a_gain():
    rows = compare(METRICS)
    assert rows[0] == ("image to text, R@1", "50.0", "52.5", "-2.5")
    assert compare(METRICS | {"start": None})[3] == ("text to image, R@1", "50.0", "", "")


def test_the_card_says_what_it_is():
    text = {"start": "albert", "weights": "random"}
    config = PretrainRunConfig.from_dict({"data": "d.csv", "out": "m", "text": text})
    card = build_card("m", config.to_dict(), METRICS)
    for part in [
        "# m\n",
        "Text tower: `albert` (random weights),\n1,234,567 parameters",
        "`d.csv`: 7 pictures with 9 texts to learn from",
        "| text to image, R@10 | 50.0 | 52.5 | -2.5 |",
        "- batch_size: 128",
        "- figures are too good",
        "- 'x.jpg' is not there",
    ]:
        assert part in card
    assert card.endswith("\n")
    own = PretrainRunConfig.from_dict({"data": "d.csv", "out": "m", "image": {"frozen": True}})
    card = build_card("m", own.to_dict(), METRICS | {"start": None})
    assert "Image tower from `tiny` (pretrained weights, frozen)" in card
    assert "Text tower: its own (pretrained weights)" in card
    assert "here it had no trained weights" in card
