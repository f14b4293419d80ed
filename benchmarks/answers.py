"""Calibrate the presence of phrases, and measure answers on real clips.

    python benchmarks/answers.py --data ../shared/data --calibrate
    python benchmarks/answers.py --data ../shared/data --json

`--calibrate` takes validation parts of captioned and labelled image sets, makes short videos of
one to five pictures each, scores things that are in them and things that are not (of the same
set, so that they are hard to tell apart), and writes the thresholds at which REFUSED of the absent
ones are refused. The questions about the clips are only measured, never tuned on.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.special import softmax

from videomm.models.video_model import VideoModel
from videomm.pipeline import VideoPipeline, load
from videomm.tasks.colours import COLOURS, standing_out
from videomm.tasks.concepts import get_bank
from videomm.tasks.phrases import indefinite
from videomm.tasks.presence import (
    CALIBRATION_FILE,
    PhraseScorer,
    PresenceCalibration,
    View,
    save_presence_calibration,
)
from videomm.training.image_data import ImageArchive, ImageRow, load_rows
from videomm.types import Answer, Array, Timeline

REFUSED = 0.85
# Sets whose pictures lack what they are not labelled with. Sports and scenes overlap: a street has
# buildings, and a figure skater is on an ice rink.
LABELLED = ("coco_mini", "caltech101")
DEEDS = ("named deeds", "deeds of things")  # sources of two phrases: who, and who does what
VIEWS = 2
PICTURES_A_VIDEO = (1, 2, 3, 5)
SIDE = 224
TARGETS = {"absent refused, %": 80.0, "present right, %": 60.0}

# A thing: what captions call it, and words after which it may be there although unnamed.
NOUNS = {
    "dog": ("dogs?|pupp(?:y|ies)", r"animals?|\w*(?:hound|terrier|retriever|collie|poodle)s?|lab"),
    "cat": ("cats?|kittens?", "animals?"),
    "horse": ("horses?", r"animals?|pon(?:y|ies)|bull|cowboy|rodeo|bronco"),
    "bird": ("birds?", "animals?|ducks?|seagulls?|pigeons?|geese|goose|flamingos?|swans?|parrot"),
    "boat": ("boats?", r"canoes?|kayak\w*|raft\w*|sail\w*|ships?|paddl\w*|dock"),
    "car": ("cars?", r"vehicles?|trucks?|taxi|van|jeep|rac(?:e|ing)|traffic|street|road|driv\w*"),
    "bicycle": ("bikes?|bicycles?", r"\w*cycl\w*|bikers?|bmx|rid(?:e|es|ing|er|ers)"),
    "motorcycle": ("motorcycles?|motorbikes?", r"moto\w*|bik\w+|scooter|rac(?:e|ing)|riders?"),
    "train": ("trains?", "subway|rail\\w*|tracks?"),
    "airplane": ("airplanes?|planes?", "jets?|helicopter|aircraft"),
    "elephant": ("elephants?", "animals?"),
    "ball": (
        "balls?|basketball|football|soccer ball",
        r"\w*ball|soccer|tennis|golf|toys?|juggl\w*",
    ),
    "guitar": ("guitars?", "instruments?|music\\w*|band|sing\\w*|concert|violin|banjo|bass"),
    "beach": ("beach", "sand\\w*|ocean|sea|shore|coast|surf\\w*|waves?|lake"),
    "snow": ("snow|snowy", r"snow\w+|ski\w*|ice|icy|winter|sled\w*"),
    "swimming pool": ("pools?", r"swim\w*|water|div(?:e|es|ing)|bath\w*"),
    "mountain": ("mountains?", r"hills?|cliffs?|rock\w*|peak|climb\w*"),
    "table": ("tables?", r"restaurant|dinner|desk|eat\w*|counter|room|picnic|drink\w*|kitchen|bar"),
    "hat": ("hats?|caps?", r"helmets?|beanie|hood\w*|costumes?|bandanna|toboggan|visor|turban"),
    "skateboard": ("skateboards?", r"skat\w*|boards?"),
    "surfboard": ("surfboards?", r"surf\w*|boards?|\w*boarding"),
    "flower": ("flowers?", "floral|plants?|garden|bouquet|roses?|tulips?|daisies"),
    "river": ("rivers?|streams?|creeks?", "waters?|lakes?|raft\\w*|kayak\\w*|canoe\\w*|puddles?"),
    "umbrella": ("umbrellas?", "parasols?"),
    "tent": ("tents?", "camp\\w*|canop\\w*"),
    "couch": ("couch(?:es)?|sofas?", "chairs?|bed|seat|lap|living"),
    "fire": ("fires?|flames?", "bonfire|grill\\w*|smok\\w*|spark\\w*|candle\\w*"),
    "phone": ("phones?|cellphone", "cell|camera\\w*|telephone|device"),
    "toy": ("toys?", r"doll|stuffed|balls?|play\w*|bear|frisbees?|balloons?|disc|objects?|swing"),
}
_PEOPLE = r"persons?|people|couple|group|crowd|team|famil(?:y|ies)|someone|adults?|players?"
SUBJECTS = {
    "man": ("man|men|guys?", rf"{_PEOPLE}|males?|he|him|his|boys?|\w+(?:ist|er|ers|ists)"),
    "woman": ("woman|women|lady", rf"{_PEOPLE}|girls?|females?|she|her|\w+(?:ist|er|ers|ists)"),
    "child": ("child|children|kids?|boys?|girls?|baby|toddler", rf"{_PEOPLE}|young|teen\w*|infant"),
    "dog": NOUNS["dog"],
}
VERBS = {
    "running": r"runs?|running",
    "jumping": r"jump\w*|leap\w*",
    "swimming": r"sw[ia]m\w*",
    "riding": "rides?|riding",
    "sitting": r"sits?|sitting",
    "climbing": r"climb\w*",
    "eating": r"eat\w*",
    "holding": r"hold\w*",
    "walking": r"walk\w*",
    "playing": r"play\w*",
    "standing": r"stand\w*",
    "throwing": r"throw\w*",
    "catching": r"catch\w*",
}

COLOURED = (
    "dog|shirt|jacket|dress|car|ball|hat|coat|top|bike|horse|sweater|swimsuit|uniform|bird|boat"
)

Scored = list[tuple[float, bool]]


def embed_pictures(
    model: VideoModel, data: Path, rows: Sequence[ImageRow], keep: Path | None = None
) -> Array:
    """VIEWS square views of each picture, the first whole and the others closer: (R, VIEWS, D).

    With `keep` they are read from that folder where an earlier run has left them.
    """
    kept = keep and keep / f"{model.encoder.fingerprint}-{rows[0].set_name}-{len(rows)}.npy"
    if kept and kept.is_file():
        return np.asarray(np.load(kept))
    archive, rng = ImageArchive(data), np.random.default_rng(0)
    parts = []
    for start in range(0, len(rows), 16):
        views = []
        for row in rows[start : start + 16]:
            picture = archive.read(row)
            for number in range(VIEWS):
                side = min(picture.size) * (1.0 if number == 0 else 0.8)
                left, top = (rng.uniform(0, length - side) for length in picture.size)
                box = (left, top, left + side, top + side)
                small = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)
                views.append(np.asarray(small))
        parts.append(model.encoder.encode_frames(np.stack(views)))
    pictures = np.concatenate(parts).reshape(len(rows), VIEWS, -1)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, pictures)
    return pictures


def video_of(pictures: Array, encoder: str) -> Timeline:
    """A timeline of pictures (P, VIEWS, D), two frames a second."""
    frames = pictures.reshape(-1, pictures.shape[-1])
    times = np.arange(len(frames)) / 2
    return Timeline(frames, times, len(frames) / 2, encoder, "<pictures>", "none", "", {})


def noun_in(row: ImageRow, noun: str) -> bool | None:
    """Whether a thing is in a captioned picture; None where the captions leave it open."""
    named, doubtful = NOUNS[noun]
    captions = [caption.lower() for caption in row.captions]
    if sum(bool(re.search(rf"\b(?:{named})\b", caption)) for caption in captions) >= 2:
        return True
    return None if re.search(rf"\b(?:{named}|{doubtful})\b", " ".join(captions)) else False


def action_in(row: ImageRow, subject: str, verb: str) -> bool | None:
    """Whether a picture shows a subject doing something; False only where there is no subject."""
    named, doubtful = SUBJECTS[subject]
    captions = [caption.lower() for caption in row.captions]
    if any(re.search(rf"\b(?:{named})\b.*\b(?:{VERBS[verb]})\b", item) for item in captions):
        return True
    return None if re.search(rf"\b(?:{named}|{doubtful})\b", " ".join(captions)) else False


def in_any(found: Sequence[bool | None]) -> bool | None:
    """Whether something is in a video of several pictures."""
    if any(item is True for item in found):
        return True
    return False if all(item is False for item in found) else None


Judge = Callable[[Sequence[ImageRow]], Iterator[tuple[list[str], bool | None]]]


def score_videos(
    scorer: PhraseScorer,
    rows: Sequence[ImageRow],
    pictures: Array,
    judge: Judge,
    num_videos: int,
    rng: np.random.Generator,
) -> Scored:
    """Scores of phrases on random videos, each with whether it holds."""
    out: Scored = []
    for number in range(num_videos):
        count = PICTURES_A_VIDEO[number % len(PICTURES_A_VIDEO)]
        chosen = rng.choice(len(rows), min(count, len(rows)), replace=False)
        view = View(video_of(pictures[chosen], scorer.model.encoder.id), scorer)
        for phrases, holds in judge([rows[i] for i in chosen]):
            if holds is not None:
                out.append((view.presence(phrases).score, holds))
    return out


def collect(
    data: Path, scorer: PhraseScorer, num_videos: int, keep: Path | None
) -> tuple[dict[str, Scored], Array]:
    """Scores by source, and the mean of the captioned pictures (D,).

    The sources are named things, labelled things, people and dogs doing something, and named
    things that do something: those are only known to be absent.
    """
    rng = np.random.default_rng(0)
    nouns, subjects, verbs = list(NOUNS), list(SUBJECTS), list(VERBS)

    def things(rows: Sequence[ImageRow]) -> Iterator[tuple[list[str], bool | None]]:
        for noun in rng.choice(nouns, 10, replace=False):
            yield [indefinite(str(noun))], in_any([noun_in(row, str(noun)) for row in rows])

    def deeds(rows: Sequence[ImageRow]) -> Iterator[tuple[list[str], bool | None]]:
        for _ in range(16):
            subject, verb = str(rng.choice(subjects)), str(rng.choice(verbs))
            phrases = [f"a {subject}", f"a {subject} {verb}"]
            yield phrases, in_any([action_in(row, subject, verb) for row in rows])

    def deeds_of_things(rows: Sequence[ImageRow]) -> Iterator[tuple[list[str], bool | None]]:
        for _ in range(8):
            noun, verb = str(rng.choice(nouns)), str(rng.choice(verbs))
            thing = indefinite(noun)
            gone = in_any([noun_in(row, noun) for row in rows]) is False
            yield [thing, f"{thing} {verb}"], False if gone else None

    out: dict[str, Scored] = {}
    captioned = [row for row in load_rows(data, "flickr8k") if row.split == "val"]
    pictures = embed_pictures(scorer.model, data, captioned, keep)
    usual = pictures.reshape(-1, pictures.shape[-1]).mean(axis=0)
    out["named things"] = score_videos(scorer, captioned, pictures, things, num_videos, rng)
    out["named deeds"] = score_videos(scorer, captioned, pictures, deeds, num_videos, rng)
    out["deeds of things"] = score_videos(
        scorer, captioned, pictures, deeds_of_things, num_videos, rng
    )
    for name in LABELLED:
        rows = [row for row in load_rows(data, name) if row.split == "val"]
        labels = labels_of(data, name)
        names = sorted(set().union(*(labels[row.file] for row in rows)))

        def labelled(
            rows: Sequence[ImageRow],
            labels: dict[str, set[str]] = labels,
            names: list[str] = names,
        ) -> Iterator[tuple[list[str], bool | None]]:
            there = set().union(*(labels[row.file] for row in rows))
            absent = rng.choice(names, min(6, len(names)), replace=False)
            for label in sorted({*there, *map(str, absent)}):
                yield [indefinite(label)], label in there

        pictures = embed_pictures(scorer.model, data, rows, keep)
        out[name] = score_videos(scorer, rows, pictures, labelled, num_videos // 3, rng)
    return out, usual


def labels_of(data: Path, set_name: str) -> dict[str, set[str]]:
    """File to labels; coco_mini names every object in a picture, the other sets one a picture."""
    with (data / "images" / f"{set_name}.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return {row["file"]: set(row.get("labels") or [row["label_text"]]) for row in rows}


def measure_colours(data: Path, scorer: PhraseScorer, usual: Array) -> dict[str, Any]:
    """How often the colour on which captions of val pictures agree is told, by encoder and pixels.

    Args:
        data: the data folder.
        scorer: embeds the phrases.
        usual: mean of ordinary pictures (D,), as answers subtract it.
    """
    pattern = rf"\b({'|'.join(COLOURS)}|gray) ({COLOURED})\b(?! and)"
    archive, encoder = ImageArchive(data), scorer.model.encoder
    scores, pixels, truth = [], [], []
    for row in (row for row in load_rows(data, "flickr8k") if row.split == "val"):
        named: dict[str, list[str]] = {}
        for caption in row.captions:
            for colour, noun in re.findall(pattern, caption.lower()):
                named.setdefault(noun, []).append(colour.replace("gray", "grey"))
        for noun, colours in named.items():
            if len(colours) < 2 or len(set(colours)) > 1:
                continue
            picture, file = archive.read(row), io.BytesIO()
            picture.save(file, "JPEG", quality=80)
            frame = encoder.encode_frames(np.asarray(picture)[None]) - usual
            phrases = scorer.vectors([f"{colour} {noun}" for colour in COLOURS])
            scores.append(encoder.logit_scale * (frame @ phrases.T)[0])
            pixels.append(standing_out([file.getvalue()]))
            truth.append(COLOURS.index(colours[0]))
    by_encoder, by_pixels = np.stack(scores), np.stack(pixels)
    figures: dict[str, Any] = {"colours, pictures": len(truth)}
    for weight in (0.0, 0.5, 1.0, 2.0):
        logits = by_encoder + weight * by_pixels
        share = softmax(logits, axis=1)[np.arange(len(truth)), truth]
        right = float((logits.argmax(1) == truth).mean())
        figures[f"colours, pixels weighing {weight}"] = {
            "right, %": round(100 * right, 1),
            "mean log-likelihood": round(float(np.log(share).mean()), 3),
        }
    return figures


def threshold_of(sources: Sequence[Scored]) -> float:
    """The score under which REFUSED of the absent things of every source lie."""
    absent = [[score for score, holds in source if not holds] for source in sources]
    return float(max(np.quantile(scores, REFUSED) for scores in absent))


def slope_of(sources: Sequence[Scored], threshold: float) -> float:
    """Slope of the logistic curve through (threshold, 0.5) that fits best, both sides equal."""
    pairs = [pair for source in sources for pair in source]
    scores = np.array([score for score, _ in pairs]) - threshold
    holds = np.array([held for _, held in pairs])
    weights = np.where(holds, 0.5 / holds.sum(), 0.5 / (~holds).sum())
    slopes = np.geomspace(0.2, 10, 200)
    losses = [
        (weights * np.logaddexp(0, -np.where(holds, 1, -1) * slope * scores)).sum()
        for slope in slopes
    ]
    return float(slopes[int(np.argmin(losses))])


def calibrate(
    data: Path, scorer: PhraseScorer, num_videos: int, keep: Path | None
) -> tuple[PresenceCalibration, dict[str, Any]]:
    """Fit the curves, and say what they refuse and find of what they were fitted on."""
    sources, usual = collect(data, scorer, num_videos, keep)
    deeds = [source for name, source in sources.items() if name in DEEDS]
    things = [source for name, source in sources.items() if name not in DEEDS]
    cuts = threshold_of(things), threshold_of(deeds)
    found = PresenceCalibration(
        encoder=scorer.model.encoder.id,
        bank=scorer.bank.bank.digest,
        thresholds=cuts,
        slopes=(slope_of(things, cuts[0]), slope_of(deeds, cuts[1])),
        usual=usual,
    )
    figures: dict[str, Any] = {"thresholds": found.thresholds, "slopes": found.slopes}
    for name, source in sources.items():
        cut = cuts[name in DEEDS]
        absent = np.array([score for score, holds in source if not holds])
        present = np.array([score for score, holds in source if holds])
        figures[f"{name}: absent refused, %"] = round(100 * float((absent < cut).mean()), 1)
        if len(present):
            figures[f"{name}: present found, %"] = round(100 * float((present >= cut).mean()), 1)
    return found, figures | measure_colours(data, scorer, usual)


def is_right(answer: Answer, expected: Sequence[str]) -> bool:
    """Whether an answer is right: one of the expected as whole words, or refused where none is."""
    if not expected:
        return answer.answer in (None, "no", "0")
    said = f" {_words(answer.answer or '')} "
    return any(f" {_words(item)} " in said for item in expected)


def _words(text: str) -> str:
    return " ".join(
        word for word in re.findall(r"\w+", text.lower()) if word not in ("a", "an", "the")
    )


def measure(data: Path, pipeline: VideoPipeline) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Ask every question of `clips/questions.jsonl`, each clip decoded once."""
    rows, timelines = [], {}
    for line in (data / "clips" / "questions.jsonl").read_text(encoding="utf-8").splitlines():
        asked = json.loads(line)
        name = asked["file"]
        if name not in timelines:
            timelines[name] = pipeline.embed(data / "clips" / name)
        answer = pipeline.ask(timelines[name], asked["question"])
        rows.append(
            {
                **asked,
                "answer": answer.answer,
                "score": round(answer.score, 3),
                "right": is_right(answer, asked["answers"]),
            }
        )
    figures: dict[str, Any] = {}
    for title, present in (("absent refused", False), ("present right", True)):
        right = [row["right"] for row in rows if bool(row["answers"]) == present]
        figures[title] = f"{sum(right)} of {len(right)}"
        figures[f"{title}, %"] = round(100 * sum(right) / max(1, len(right)), 1)
    return figures, rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurements; exit code 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = os.environ.get("VIDEOMM_DATA", "../shared/data")
    parser.add_argument("--data", type=Path, default=Path(default), help="the data folder")
    parser.add_argument("--model", default="tiny", help="as for videomm ask")
    parser.add_argument("--calibrate", action="store_true", help="make the calibration anew")
    parser.add_argument("--videos", type=int, default=300, help="videos a source to calibrate on")
    parser.add_argument("--out", type=Path, default=CALIBRATION_FILE, help="where it is written")
    parser.add_argument("--keep", type=Path, help="a folder for picture embeddings between runs")
    parser.add_argument("--json", action="store_true", help="print JSON on the last line")
    options = parser.parse_args(arguments)
    pipeline = load(options.model)
    if options.calibrate:
        bank = get_bank(pipeline.model.encoder, cache=pipeline.cache)
        scorer = PhraseScorer(pipeline.model, bank)
        found, figures = calibrate(options.data, scorer, options.videos, options.keep)
        save_presence_calibration(found, options.out)
        print("\n".join(f"{name}: {value}" for name, value in figures.items()))
        if options.json:
            print(json.dumps({"benchmark": "answers", "calibration": figures}))
        return 0
    figures, rows = measure(options.data, pipeline)
    for row in rows:
        mark = "right" if row["right"] else "WRONG"
        print(f"{mark}  {row['file']}: {row['question']} -> {row['answer']} ({row['score']})")
    print("\n".join(f"{name}: {value}" for name, value in figures.items()))
    if options.json:
        print(json.dumps({"benchmark": "answers", "figures": figures, "answers": rows}))
    return int(any(figures[name] < target for name, target in TARGETS.items()))


if __name__ == "__main__":
    raise SystemExit(main())
