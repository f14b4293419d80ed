from dataclasses import replace

import numpy as np
import pytest

from tests.fakes import FakeEncoder
from videomm.cache import TimelineCache
from videomm.errors import InvalidInputError
from videomm.tasks.concepts import (
    SECTIONS,
    Bank,
    Calibration,
    Concept,
    EmbeddedBank,
    describe,
    embed_bank,
    get_bank,
    join_words,
    load_calibration,
    read_bank,
    save_calibration,
)

AXES = np.eye(8, dtype=np.float32)
BANK = "[objects]\na dog\na puppy\na car\n\n# where\n[scenes]\non a beach\n[actions]\nrunning\n"
VECTORS = {
    "a dog": AXES[0],
    "a puppy": AXES[0] + 0.3 * AXES[1],
    "a car": AXES[2],
    "on a beach": AXES[3],
    "running": AXES[4],
}
# What a picture that shows nothing looks like.
NOTHING = AXES[7:]
THRESHOLDS = dict.fromkeys(SECTIONS, 0.4)


@pytest.fixture
def bank_file(tmp_path):
    path = tmp_path / "bank.txt"
    path.write_text(BANK)
    return path


def embedded(bank_file, thresholds=THRESHOLDS):
    bank, encoder = read_bank(bank_file), FakeEncoder(VECTORS)
    vectors = embed_bank(bank, encoder)
    calibration = thresholds and Calibration(encoder.id, bank.digest, vectors, NOTHING, thresholds)
    return EmbeddedBank(bank, vectors, calibration)


def unit(*pairs):
    row = sum(weight * AXES[axis] for axis, weight in pairs)
    return row / np.linalg.norm(row)


def test_the_bank_that_comes_with_videomm():
    bank = read_bank()
    assert len(bank) >= 1000
    assert len({entry.casefold() for entry in bank.entries}) == len(bank)
    counts = {section: bank.sections.count(section) for section in SECTIONS}
    assert all(count >= 150 for count in counts.values()), counts


def test_reads_sections_and_comments(bank_file):
    bank = read_bank(bank_file)
    assert bank == Bank(
        ("a dog", "a puppy", "a car", "on a beach", "running"),
        ("objects", "objects", "objects", "scenes", "actions"),
    )
    assert bank.digest != read_bank().digest


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a dog\n[objects]\n", "line 1: 'a dog' stands before the first heading"),
        (b"[objects]\na dog\n\n a  dog \n", "line 4: 'a dog' stands in the bank twice"),
        (b"[objects]\n[things]\n", r"line 2: unknown heading '\[things\]'; allowed: \[objects\]"),
        (b"# nothing\n[objects]\n", "has no entries"),
        (b"[objects]\n\xff\xfe\n", "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_bank_is_named(content, message, tmp_path):
    path = tmp_path / "bank.txt"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=message):
        read_bank(path)


def test_a_missing_bank_is_named(tmp_path):
    with pytest.raises(InvalidInputError, match=r"gone\.txt' cannot be read"):
        read_bank(tmp_path / "gone.txt")


def test_says_what_reaches_its_threshold_and_nothing_twice(bank_file):
    bank = embedded(bank_file)
    (said,) = bank.say(unit((0, 1.0), (2, 0.9), (3, 0.2))[None])
    # The puppy scores higher than the car, and means the same as the dog.
    assert [item.text for item in said] == ["a dog", "a car"]
    assert said[0].score == pytest.approx(1 / np.sqrt(1.85), abs=1e-6)


def test_a_second_concept_has_to_come_close_to_the_first(bank_file):
    (said,) = embedded(bank_file).say(unit((0, 1.0), (2, 0.7))[None])
    assert [item.text for item in said] == ["a dog"]


def test_nonsense_stays_unsaid(bank_file):
    assert embedded(bank_file).say(unit((6, 1.0))[None]) == [[]]


def test_what_nothing_looks_like_as_well_is_unsaid(bank_file):
    bank = embedded(bank_file)
    nothing = unit((0, 0.8), (6, 0.6))[None]
    (said,) = bank.say(unit((0, 0.7), (3, 0.7))[None])
    assert [item.text for item in said] == ["a dog", "on a beach"]
    stricter = replace(bank.calibration, nonsense=nothing)
    (said,) = EmbeddedBank(bank.bank, bank.vectors, stricter).say(unit((0, 0.7), (3, 0.7))[None])
    assert [item.text for item in said] == ["on a beach"]


def test_without_a_calibration_the_best_ranks_are_said(bank_file):
    (said,) = embedded(bank_file, None).say(unit((2, 1.0), (4, 0.1))[None])
    assert [(item.text, item.section) for item in said] == [
        ("a car", "objects"),
        ("a dog", "objects"),
        ("on a beach", "scenes"),
        ("running", "actions"),
    ]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ([], ""),
        ([("a dog", "objects")], "A dog."),
        ([("a dog", "objects"), ("a car", "objects")], "A dog and a car."),
        ([("on a beach", "scenes"), ("running", "actions")], "On a beach; running."),
        ([("a dog", "objects"), ("on a beach", "scenes")], "A dog, on a beach."),
        ([("running", "actions")], "Running."),
    ],
)
def test_sentences(said, sentence):
    assert describe([Concept(text, section, 1.0) for text, section in said]) == sentence


def test_lists_in_words():
    assert join_words(["a"]) == "a"
    assert join_words(["a", "b", "c"]) == "a, b and c"


def test_calibration_survives_the_disk(bank_file, tmp_path):
    before = embedded(bank_file).calibration
    save_calibration(before, tmp_path / "c.safetensors")
    after = load_calibration(tmp_path / "c.safetensors")
    assert (after.encoder, after.bank, after.thresholds) == ("fake@0", before.bank, THRESHOLDS)
    assert np.allclose(after.vectors, before.vectors, atol=1e-3)
    assert np.allclose(after.nonsense, before.nonsense, atol=1e-3)
    assert load_calibration(tmp_path / "gone.safetensors") is None


def test_vectors_of_other_encoders_are_made_once(bank_file, tmp_path, monkeypatch):
    encoder, cache = FakeEncoder(VECTORS), TimelineCache(tmp_path / "cache")
    first = get_bank(encoder, bank_file, cache)
    assert first.calibration is None

    def fail(*args):
        raise AssertionError("embedded again")

    monkeypatch.setattr("videomm.tasks.concepts.embed_bank", fail)
    assert np.array_equal(get_bank(encoder, bank_file, cache).vectors, first.vectors)
    changed = FakeEncoder({**VECTORS, "a dog": AXES[5]})
    with pytest.raises(AssertionError, match="embedded again"):
        get_bank(changed, bank_file, cache)


def test_the_embedded_model_has_a_calibration_that_is_not_stale(tiny):
    calibration, bank = load_calibration(), read_bank()
    advice = "run benchmarks/calibrate_bank.py --write"
    assert calibration.encoder == tiny.id, advice
    assert calibration.bank == bank.digest, advice
    assert set(calibration.thresholds) == set(SECTIONS)
    some = Bank(bank.entries[:3], bank.sections[:3])
    assert np.allclose(embed_bank(some, tiny), calibration.vectors[:3], atol=5e-3), advice


def test_the_embedded_model_hardly_ever_has_words_for_noise_and_flat_pictures(tiny):
    rng = np.random.default_rng(7)
    noise = rng.integers(0, 256, (30, 64, 64, 3), np.uint8)
    flat = np.broadcast_to(rng.integers(0, 256, (30, 1, 1, 3), np.uint8), noise.shape)
    said = get_bank(tiny).say(tiny.encode_frames(np.concatenate((noise, flat))))
    # The calibration's own measure is 3 % of pictures.
    assert sum(map(bool, said)) <= 6, [item for item in said if item]
