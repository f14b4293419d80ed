"""Compositions: captioned pictures turned into moving shots, one after the other.

Nobody has to label when something happens in them, how long it lasts, what comes first and what
returns: the plan says it. Plans are pure and seeded; `render` makes them pixels.

Every picture has one path of the camera, a pan or a zoom, and a shot is a part of it, in either
direction or held. So what an image tower sees of a picture can be computed once, at a few
positions along its path, for all the compositions that show it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from videomm.types import Array

FPS = 2.0  # what `SamplingConfig` looks at
SCENES = (2, 8)
SCENE_SECONDS = (1.5, 6.0)
FADE_SECONDS = (0.5, 1.5)
# Shares of scenes, and of compositions that have room for it.
HOLDS, FADES, RETURNS = 0.25, 0.4, 0.5
DOMINANCE = 1.0  # the dominant picture is on screen for this many seconds more than any other
ASPECT = 4 / 3  # width to height of a frame
VIEWS = (0.6, 1.0)  # of the largest frame that a picture has room for

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Scene:
    """One shot of one picture, over `[start, end)`.

    Attributes:
        picture: number of the picture.
        start: seconds.
        end: seconds.
        first: where on the picture's path the shot begins, in [0, 1].
        last: where it ends; where both are the same the camera holds.
        fade: seconds in which it takes over from the scene before, half of them before `start`;
            0 is a hard cut.
    """

    picture: int
    start: float
    end: float
    first: float
    last: float
    fade: float = 0.0


@dataclass(frozen=True)
class Composition:
    """Scenes that tile a video.

    Attributes:
        scenes: in the order of time, the first from 0 s.
        captions: the caption that asks for each of `pictures`, by its number.
    """

    scenes: tuple[Scene, ...]
    captions: tuple[int, ...]

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.scenes[-1].end

    @property
    def pictures(self) -> tuple[int, ...]:
        """Every picture once, in the order of its first appearance."""
        return tuple(dict.fromkeys(scene.picture for scene in self.scenes))

    def moments(self, picture: int) -> list[tuple[float, float]]:
        """When a picture is on screen: several moments where it returns."""
        return [(scene.start, scene.end) for scene in self.scenes if scene.picture == picture]

    @property
    def dominant(self) -> int:
        """The picture that is on screen for the longest, in all its scenes."""
        return max(self.pictures, key=self.seconds)

    def seconds(self, picture: int) -> float:
        """How long a picture is on screen in all."""
        return sum(end - start for start, end in self.moments(picture))


@dataclass(frozen=True, eq=False)
class Looks:
    """What a composition shows at the times that are looked at.

    Attributes:
        times: float64 (N,), seconds.
        scenes: int (N, 2), the scene on screen, and the one that it is mixed with in a fade.
        positions: float (N, 2), on the paths of their pictures.
        mixed: float (N,), share of the second, at most one half; 0 outside fades.
    """

    times: npt.NDArray[np.float64]
    scenes: npt.NDArray[np.int64]
    positions: npt.NDArray[np.float64]
    mixed: npt.NDArray[np.float64]


def draw_composition(captions: Sequence[int], seed: int, number: int) -> Composition:
    """A composition that follows from its number alone.

    Args:
        captions: how many captions each of the pictures has.
        seed: of all compositions.
        number: of this one.

    Returns:
        2 to 8 scenes of 1.5 to 6 s; no picture follows itself, at most one returns.

    Raises:
        ValueError: there are fewer pictures than a composition can have scenes.
    """
    if len(captions) < SCENES[1]:
        raise ValueError(f"compositions need at least {SCENES[1]} pictures, got {len(captions)}")
    rng = np.random.default_rng([seed, number])
    count = int(rng.integers(SCENES[0], SCENES[1] + 1))
    shown = rng.choice(len(captions), count, replace=False)
    if count > 2 and rng.random() < RETURNS:
        back = int(rng.integers(2, count))
        shown[back] = shown[rng.integers(back - 1)]
    pictures = list(dict.fromkeys(shown.tolist()))
    asked = tuple(int(rng.integers(captions[picture])) for picture in pictures)
    while True:
        composition = Composition(_draw_scenes(shown.tolist(), rng), asked)
        longest, second = sorted(map(composition.seconds, pictures), reverse=True)[:2]
        if longest - second >= DOMINANCE:
            return composition


def _draw_scenes(shown: Sequence[int], rng: np.random.Generator) -> tuple[Scene, ...]:
    """Times, movements and fades of the pictures shown."""
    ends = np.cumsum(rng.uniform(*SCENE_SECONDS, len(shown)))
    starts = np.append(0.0, ends[:-1])
    scenes = []
    for place, picture in enumerate(shown):
        first, last = rng.random(2)
        held, faded = rng.random(2) < (HOLDS, FADES)
        fade = rng.uniform(*FADE_SECONDS) if faded and place else 0.0
        start, end = float(starts[place]), float(ends[place])
        movement = float(first), float(first if held else last)
        scenes.append(Scene(picture, start, end, *movement, float(fade)))
    return tuple(scenes)


def look_at(composition: Composition, fps: float = FPS) -> Looks:
    """What is on screen `fps` times a second, from 0 s on."""
    times = np.arange(0, composition.duration, 1 / fps)
    starts, ends, firsts, lasts, fades = np.array(
        [(s.start, s.end, s.first, s.last, s.fade) for s in composition.scenes]
    ).T
    front = np.searchsorted(starts, times, side="right") - 1
    scenes, mixed = np.stack([front, front], axis=1), np.zeros(len(times))
    # A frame is mixed with the scene before it where its own is new, with the next where it ends.
    for cut in range(1, len(starts)):
        far = np.abs(times - starts[cut])
        near = far < fades[cut] / 2
        mixed[near] = 0.5 - far[near] / fades[cut]
        scenes[near, 1] = np.where(front[near] == cut, cut - 1, cut)
    through = (times[:, None] - starts[scenes]) / (ends - starts)[scenes]
    # A fade shows a scene before its start and after its end: the camera waits there.
    positions = firsts[scenes] + (lasts - firsts)[scenes] * np.clip(through, 0.0, 1.0)
    return Looks(times, scenes, positions, mixed)


def camera_box(size: tuple[int, int], picture: int, position: float) -> Box:
    """What the camera sees of a picture at a position on its path.

    Args:
        size: width and height of the picture, in pixels.
        picture: its number, from which the path follows.
        position: in [0, 1].

    Returns:
        left, top, right, bottom, in pixels.
    """
    rng = np.random.default_rng(picture)
    ends = np.stack([rng.random(2), rng.random(2)])
    if rng.random() < 0.5:  # a pan: the view stays as wide, and has room to move
        views = np.full(2, rng.uniform(VIEWS[0], (VIEWS[0] + VIEWS[1]) / 2))
    else:  # a zoom: in and out are the two directions of one path
        views = np.array(VIEWS[::-1])
        ends[0] = ends[1]
    x, y = ends[0] + position * (ends[1] - ends[0])
    view = views[0] + position * (views[1] - views[0])
    width = view * min(size[0], size[1] * ASPECT)
    height = width / ASPECT
    left, top = x * (size[0] - width), y * (size[1] - height)
    return left, top, left + width, top + height


def crop(image: Image.Image, picture: int, position: float, size: tuple[int, int]) -> Array:
    """uint8 (height, width, 3) of `size` (height, width): one look at a picture."""
    box = camera_box(image.size, picture, position)
    # Rounding must not put an edge outside.
    box = (max(box[0], 0), max(box[1], 0), min(box[2], image.width), min(box[3], image.height))
    resized = image.resize((size[1], size[0]), Image.Resampling.BICUBIC, box=box)
    return np.asarray(resized)


def render(
    composition: Composition,
    read: Callable[[int], Image.Image],
    size: tuple[int, int],
    fps: float = FPS,
) -> Array:
    """The frames of a composition.

    Args:
        composition: its plan.
        read: a picture by its number, RGB.
        size: (height, width) of the frames; an image tower's own input size, which frames of
            4 to 3 are squeezed to.
        fps: frames a second.

    Returns:
        uint8 (N, height, width, 3); those in a fade are mixed pixel by pixel.
    """
    looks = look_at(composition, fps)
    images = {picture: read(picture) for picture in composition.pictures}
    frames = []
    for scenes, positions, mixed in zip(looks.scenes, looks.positions, looks.mixed, strict=True):
        pictures = [composition.scenes[scene].picture for scene in scenes]
        pixels = crop(images[pictures[0]], pictures[0], positions[0], size)
        if mixed:
            other = crop(images[pictures[1]], pictures[1], positions[1], size)
            pixels = np.rint((1 - mixed) * pixels + mixed * other).astype(np.uint8)
        frames.append(pixels)
    return np.stack(frames)
