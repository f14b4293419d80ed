import pytest

from videomm.training.image_data import ImageRow
from videomm.training.text_data import TextCorpus
from videomm.training.unseen import hold_out, leave_out, naming, unseen_classes

from .conftest import needs_data


def picture(**said):
    return ImageRow("any", f"{len(said)}.webp", "train", **said)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a photo of an ant", True),
        ("two ants on a leaf", True),
        ("Two Wrenches on a bench", True),
        ("an antique wrench", True),
        ("a giant elephant", False),
        ("plants", False),
    ],
)
def test_names_are_whole_words_in_any_number(text, named):
    assert bool(naming(["ant", "wrench"]).search(text)) == named


def test_what_names_a_class_is_left_out():
    rows = [
        picture(label="rocking chair"),
        picture(label="chairlift"),
        picture(captions=("a man on a chair", "a man reads")),
        picture(questions=("what is on the desk?",), answers=("office_chair, book",)),
        picture(questions=("what is on the desk?",), answers=("book",)),
    ]
    kept = leave_out(rows, ["chair"])
    assert [row.label for row in kept] == ["chairlift", None, None]
    assert kept[1].captions == ("a man reads",)
    assert kept[2].answers == ("book",)


@needs_data
def test_the_held_out_classes_are_of_twenty_names_and_in_no_training_text(data):
    names = unseen_classes(data)
    assert (len(names), names[0], names[-1]) == (20, "Garfield cartoon", "wheelchair")
    named = tuple(f"a photo of {name}" for name in names)
    told = "a photo of a tench"  # a class of ImageNet's, so a text of pictures
    others = tuple(f"{i} of no picture" for i in range(100))
    corpus = TextCorpus((*named, told, *others, "an ant of no picture"), ("a caption",), ("w",))
    held = hold_out(corpus, names, data)
    assert told in held.train
    assert not any(naming(names).search(text) for text in held.train)
    assert 0 < len(held.train) - 1 < len(others) / 2  # every fourth
    assert held.val_captions == ("a caption",)
    assert held.val_words[0] == "w"
    assert "an ant of no picture" not in held.val_words
