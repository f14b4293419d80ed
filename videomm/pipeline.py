"""The facade: a video is embedded once and asked often."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from videomm.cache import TimelineCache
from videomm.config import (
    ClassifyConfig,
    DecodingConfig,
    SamplingConfig,
    SpeechConfig,
    SummarizeConfig,
)
from videomm.errors import InvalidInputError
from videomm.hub import find_decoder, load_model
from videomm.models.describer import Describer
from videomm.models.video_model import VideoModel
from videomm.render.folder import check_folder, write_summary
from videomm.speech import read_speech
from videomm.tasks.answer import answer_timeline, check_question
from videomm.tasks.classify import classify_timeline
from videomm.tasks.concepts import EmbeddedBank, get_bank
from videomm.tasks.presence import PhraseScorer
from videomm.tasks.summarize import summarize_timeline
from videomm.tasks.vlm import Answerer
from videomm.timeline import build_timeline, timeline_from_frames
from videomm.transcribe import find_weights
from videomm.types import Answer, Array, Classification, Speech, Summary, Timeline
from videomm.video.paths import check_path


class VideoPipeline:
    """Holds the model, the cache and the settings; takes paths, or arrays of frames.

    Args:
        model: as `load_model` gives it.
        sampling: which times to look at; 2 a second unless told otherwise.
        decoding: decoder and deadlines.
        cache: where timelines are kept; None keeps nothing.
        progress: draw progress bars on stderr where that is a terminal.
        speech: where what is said in a file comes from; None reads none. It counts for
            classification and answers where the model fuses it.
    """

    def __init__(
        self,
        model: VideoModel,
        sampling: SamplingConfig | None = None,
        decoding: DecodingConfig | None = None,
        *,
        cache: TimelineCache | None = None,
        progress: bool = True,
        speech: SpeechConfig | None = None,
    ) -> None:
        self.model = model
        self.sampling = sampling or SamplingConfig()
        self.decoding = decoding or DecodingConfig()
        self.cache = cache
        self.progress = progress
        self.speech = speech
        self._banks: dict[str | None, EmbeddedBank] = {}
        self._scorer: PhraseScorer | None = None

    def with_model(self, model: VideoModel) -> VideoPipeline:
        """The same cache and settings with another model."""
        return VideoPipeline(
            model,
            self.sampling,
            self.decoding,
            cache=self.cache,
            progress=self.progress,
            speech=self.speech,
        )

    def embed(
        self,
        video: str | os.PathLike[str] | Array,
        *,
        times: Sequence[float] | None = None,
        fps: float | None = None,
    ) -> Timeline:
        """The timeline of a video: from the cache where it is known, else decoded and encoded.

        With what is said in it where the pipeline has `speech`.

        Args:
            video: a path, or frames as uint8 (N, H, W, 3) RGB with their times.
            times: seconds of the frames of an array, or
            fps: frames a second of an array.

        Raises:
            VideoError: the kind says what is wrong with the file.
            InvalidInputError: an array without times, or a path with them.
        """
        timeline = self._embed_frames(video, times, fps)
        if self.speech is None or not self.speech.wanted or isinstance(video, np.ndarray):
            return timeline
        speech, notes = read_speech(
            timeline.path,
            timeline.duration,
            self.model.encoder,
            self.speech,
            self.decoding,
            self.cache,
        )
        if speech is not None:
            notes = (*notes, *_how_fused(speech, self.model))
        return replace(timeline, speech=speech, warnings=(*timeline.warnings, *notes))

    def _embed_frames(
        self,
        video: str | os.PathLike[str] | Array,
        times: Sequence[float] | None,
        fps: float | None,
    ) -> Timeline:
        if isinstance(video, np.ndarray):
            return timeline_from_frames(video, self.model.encoder, times=times, fps=fps)
        if times is not None or fps is not None:
            raise InvalidInputError(
                "times and fps belong to frames in an array; a file has its own "
                "(choose the sampling with SamplingConfig)"
            )
        path = os.fspath(video)
        check_path(path)
        if self.cache is None:
            return self._build(path)
        key = self.cache.key(
            path,
            decoder=self.decoding.decoder,
            sampling=self.sampling.to_dict(),
            encoder=self.model.encoder.id,
        )
        timeline = self.cache.get(key, path)
        if timeline is None:
            timeline = self._build(path)
            self.cache.put(key, timeline)
        return timeline

    def classify(
        self,
        video: str | os.PathLike[str] | Array,
        labels: Sequence[str] | None = None,
        config: ClassifyConfig | None = None,
        *,
        times: Sequence[float] | None = None,
        fps: float | None = None,
    ) -> Classification:
        """Which of the labels a video has, and where each holds; see `classify_timeline`.

        Without labels, those that the model was trained on.
        """
        timeline = self.embed(video, times=times, fps=fps)
        return classify_timeline(timeline, labels, self.model, config)

    def summarize(
        self,
        video: str | os.PathLike[str] | Array,
        config: SummarizeConfig | None = None,
        *,
        out: str | os.PathLike[str] | None = None,
        reel: bool = True,
        force: bool = False,
        times: Sequence[float] | None = None,
        fps: float | None = None,
    ) -> Summary:
        """A video in short; see `summarize_timeline`.

        Args:
            video: a path, or frames as uint8 (N, H, W, 3) RGB with their times.
            config: 15 % of the video, at most 60 s, unless told otherwise.
            out: a folder for storyboard, page, captions, JSON and reel; None writes nothing.
            reel: also cut and encode the chosen stretches, with their sound.
            force: replace the folder of an earlier summary.
            times: seconds of the frames of an array, or
            fps: frames a second of an array.

        Raises:
            VideoError: the kind says what is wrong with the file.
            InvalidInputError: the folder cannot be written, or a reel of an array is asked for.
        """
        config = config or SummarizeConfig()
        if out is not None:
            check_folder(Path(out), force=force)
            if reel and isinstance(video, np.ndarray):
                raise InvalidInputError("frames in an array give no reel; pass reel=False")
        timeline = self._embed_frames(video, times, fps)
        # Who brings words of their own wants those.
        describer = self._describer if config.bank is None else None
        summary = summarize_timeline(
            timeline, self._open_model, config, self._bank(config.bank), describer
        )
        if out is None:
            return summary
        return write_summary(
            summary,
            timeline,
            out,
            reel=reel,
            force=force,
            decoding=self.decoding,
            progress=self.progress,
            model=self._open_model,
        )

    def ask(
        self,
        video: str | os.PathLike[str] | Array | Timeline,
        question: str,
        choices: Sequence[str] = (),
        *,
        answerer: Answerer | None = None,
        times: Sequence[float] | None = None,
        fps: float | None = None,
    ) -> Answer:
        """Answer a question about a video; see `answer_timeline`.

        Args:
            video: a path, frames as uint8 (N, H, W, 3) RGB with their times, or a timeline of
                `embed`, which many questions can share.
            question: in English.
            choices: the answers to choose from, where they are known.
            answerer: a vision-language model that gives the answer; the evidence comes from the
                timeline all the same. None answers from the timeline alone.
            times: seconds of the frames of an array, or
            fps: frames a second of an array.

        Raises:
            VideoError: the kind says what is wrong with the file.
            InvalidInputError: no words in the question, or fewer than two choices.
        """
        check_question(question, choices)
        timeline = video if isinstance(video, Timeline) else self.embed(video, times=times, fps=fps)
        if self._scorer is None:
            self._scorer = PhraseScorer(self._open_model, self._bank(None), self._describer)
        answer = answer_timeline(timeline, question, self._scorer, choices)
        return answer if answerer is None else answerer.answer(timeline, answer, choices)

    @cached_property
    def _open_model(self) -> VideoModel:
        """The model for open words: one trained on labels knows those alone, its encoder all."""
        fusion = "none" if self.model.fusion == "none" else "late"
        return VideoModel(self.model.encoder, fusion=fusion) if self.model.labels else self.model

    @cached_property
    def _describer(self) -> Describer | None:
        return find_decoder(self.model.encoder)

    def _bank(self, path: str | None) -> EmbeddedBank:
        if path not in self._banks:
            self._banks[path] = get_bank(self.model.encoder, path, self.cache)
        return self._banks[path]

    def _build(self, path: str) -> Timeline:
        return build_timeline(
            path, self.model.encoder, self.sampling, self.decoding, progress=self.progress
        )


def _how_fused(speech: Speech, model: VideoModel) -> tuple[str, ...]:
    """What a reader of a result should know of the texts that it rests on."""
    said = (
        f"{len(speech)} text{'s' * (len(speech) > 1)} from {speech.source}, fusion {model.fusion}"
    )
    if model.speech is None:
        return ()
    if model.speech.late:
        said += f", weight {model.speech.weight.item():.2f} beside 1 for the pictures"
    if model.labels or not model.speech.early:
        return (said,)
    return (said, f"early fusion has to be learned: untrained {model.name} attends to no text")


def load(
    name: str = "tiny",
    *,
    device: str | None = None,
    sampling: SamplingConfig | None = None,
    decoding: DecodingConfig | None = None,
    cache: bool = True,
    progress: bool = True,
    speech: SpeechConfig | None = None,
    fusion: str | None = None,
) -> VideoPipeline:
    """A pipeline with the model of that name.

    Args:
        name: `tiny`, `ARCH/TAG`, `hf-hub:ORG/NAME`, `local-dir:PATH` or a saved model's folder.
        device: None picks CUDA, then MPS, then CPU.
        sampling: which times of a video to look at.
        decoding: decoder and deadlines.
        cache: keep timelines on disk, so that a known video is not decoded again.
        progress: draw progress bars on stderr where that is a terminal.
        speech: where what is said comes from; unless given, `auto` for a model that fuses it, and
            nowhere for others.
        fusion: of an untrained model: `late` where speech is given, else `none`. A trained model
            has the one that it was trained with.

    Raises:
        ModelNotAvailableError: unknown name, or weights that cannot be had here.
        InvalidInputError: the model was trained with another fusion.
    """
    kept = TimelineCache() if cache else None
    if speech is not None and speech.transcribe:
        find_weights(speech.speech_model)  # said once, before anything is loaded
    model = load_model(name, device)
    if speech is not None or fusion is not None:
        model = _with_fusion(model, fusion, speech)
    if speech is None and model.fusion != "none":
        speech = SpeechConfig()
    return VideoPipeline(model, sampling, decoding, cache=kept, progress=progress, speech=speech)


def _with_fusion(model: VideoModel, fusion: str | None, speech: SpeechConfig | None) -> VideoModel:
    if not model.labels:
        return VideoModel(model.encoder, fusion=fusion or "late")
    if model.fusion == "none" and fusion is None and speech is not None and speech.wanted:
        raise InvalidInputError(
            f"{model.name} was trained on pictures alone; train it anew with --fusion, or leave "
            "speech out"
        )
    if fusion not in (None, model.fusion):
        raise InvalidInputError(
            f"{model.name} was trained with fusion {model.fusion!r}, got {fusion!r}; train it anew "
            "with that, or judge the pictures alone with subtitles='none'"
        )
    return model
