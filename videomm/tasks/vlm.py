"""A larger answerer: a vision-language model of transformers looks at frames of the timeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from PIL import Image

from videomm.errors import InvalidInputError, ModelNotAvailableError
from videomm.timeline import open_thumbnail
from videomm.types import Alternative, Answer, Timeline

MAX_FRAMES = 16
MAX_NEW_TOKENS = 48
_INSTRUCTION = (
    "These pictures are frames of one video, in order. Answer the question in a few words. If what "
    "it asks about is not to be seen, answer: not found."
)
_REFUSALS = ("not found", "none", "no answer", "unknown", "not visible", "cannot be seen")


class Answerer:
    """A vision-language model with its processor.

    Args:
        model: of `AutoModelForImageTextToText`, with `generate`.
        processor: of `AutoProcessor`, with a chat template.
        name: what results call it.
        max_frames: frames of a video that it is shown, evenly spread.
    """

    def __init__(self, model: Any, processor: Any, name: str, max_frames: int = MAX_FRAMES) -> None:
        if max_frames < 1:
            raise InvalidInputError(f"max_frames must be at least 1, got {max_frames}")
        if not getattr(processor, "chat_template", None):
            raise ModelNotAvailableError(
                f"the answerer {name} has no chat template; give an instruction-tuned model such "
                "as HuggingFaceTB/SmolVLM2-256M-Video-Instruct"
            )
        self.model = model.eval()
        self.processor = processor
        self.name = name
        self.max_frames = max_frames

    @classmethod
    def load(cls, name: str, device: str | torch.device = "cpu") -> Self:
        """Load a model by its name on the Hugging Face Hub, or from a folder.

        Weights are read from safetensors only, and no code of the model's own is run.

        Args:
            name: such as `HuggingFaceTB/SmolVLM2-256M-Video-Instruct`, or a folder.
            device: where it runs.

        Raises:
            ModelNotAvailableError: there is no such model, or its weights cannot be had here.
        """
        from transformers import AutoModelForImageTextToText, AutoProcessor

        try:
            processor = AutoProcessor.from_pretrained(name)
            model = AutoModelForImageTextToText.from_pretrained(name, use_safetensors=True)
        except ImportError as error:
            # Some processors have requirements of their own, which transformers names.
            raise ModelNotAvailableError(
                f"the answerer {name!r} needs another package: {str(error).strip()[:200]}; "
                "try pip install 'videomm[vlm]'"
            ) from error
        except Exception as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            raise ModelNotAvailableError(
                f"the answerer {name!r} cannot be loaded: {lines[0][:200]}; expected a "
                "vision-language model of transformers with safetensors weights: get it once, "
                f"connected, with `hf download {name}`, or give the folder where it lies"
            ) from error
        moved: Any = model
        return cls(moved.to(device), processor, name)

    def answer(self, timeline: Timeline, basis: Answer, choices: Sequence[str] = ()) -> Answer:
        """Answer a question that the timeline has answered already.

        Args:
            timeline: with thumbnails, which the model is shown.
            basis: the timeline's own answer; question, evidence and facts are taken from it, and
                its answer becomes the first alternative.
            choices: the answers to choose from, where they are known.

        Returns:
            The model's answer; `score` is the geometric mean of its tokens' probabilities, and
            None where it says that nothing was found or names none of the choices.

        Raises:
            InvalidInputError: the timeline has no thumbnails.
        """
        text, score = self._generate(_frames_of(timeline, self.max_frames), basis.question, choices)
        answer: str | None = text
        warnings: tuple[str, ...] = ()
        if choices:
            answer = _match(text, choices)
            if answer is None:
                warnings = (f"the answerer said {text!r:.80}, which is none of the choices",)
        elif not text or text.lower().strip(" .") in _REFUSALS:
            answer = None
        first = [Alternative(basis.answer, basis.score)] if basis.answer is not None else []
        return replace(
            basis,
            answer=answer,
            score=score,
            method="answerer",
            alternatives=(*first, *basis.alternatives),
            model=f"{self.name} with {basis.model}",
            warnings=(*basis.warnings, *warnings),
        )

    @torch.inference_mode()
    def _generate(
        self, frames: list[Image.Image], question: str, choices: Sequence[str]
    ) -> tuple[str, float]:
        """The greedy reply and the geometric mean of its tokens' probabilities."""
        wanted = f" Answer with one of: {', '.join(choices)}." if choices else ""
        text = f"{_INSTRUCTION}\nQuestion: {question}{wanted}"
        content = [*({"type": "image"} for _ in frames), {"type": "text", "text": text}]
        prompt = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        inputs = self.processor(text=prompt, images=[frames], return_tensors="pt")
        inputs = inputs.to(self.model.device)
        # Pixels come as float32, the weights may be something smaller.
        for key, value in inputs.items():
            if value.is_floating_point():
                inputs[key] = value.to(self.model.dtype)
        reply = self.model.generate(
            **inputs,
            do_sample=False,
            max_new_tokens=MAX_NEW_TOKENS,
            output_scores=True,
            return_dict_in_generate=True,
        )
        tokens = reply.sequences[0, inputs["input_ids"].shape[1] :]
        chances = [
            float(step[0].float().log_softmax(-1)[token])
            for step, token in zip(reply.scores, tokens.tolist(), strict=True)
        ]
        said = self.processor.decode(tokens, skip_special_tokens=True).strip()
        return said, float(np.exp(np.mean(chances))) if chances else 0.0


def _frames_of(timeline: Timeline, most: int) -> list[Image.Image]:
    if not timeline.thumbnails:
        raise InvalidInputError(
            f"the timeline of {timeline.path} has no thumbnails to show to an answerer; embed the "
            "video again"
        )
    count = min(most, len(timeline))
    places = np.linspace(0, len(timeline) - 1, count).round().astype(int)
    return [open_thumbnail(timeline.thumbnails[i]) for i in places]


def _match(text: str, choices: Sequence[str]) -> str | None:
    """The choice that a reply names: the same text, else the only one that stands in it."""
    plain = text.lower().strip(" .\"'")
    same = [choice for choice in choices if choice.lower() == plain]
    inside = [choice for choice in choices if f" {choice.lower()} " in f" {plain} "]
    found = same or inside
    return found[0] if len(found) == 1 else None
