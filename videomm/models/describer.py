"""A text decoder with its words: captions of pictures, and answers to questions about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor

from videomm.models.decoder import END, PAD, START, UNKNOWN, TextDecoder
from videomm.models.generation import GenerationConfig, beam_search
from videomm.types import Array

CHUNK = 64  # texts that are searched for at once


@dataclass(frozen=True)
class Describer:
    """A text decoder with what belongs to it.

    Attributes:
        decoder: reads `FrameEncoder.encode_spatial` of one encoder.
        tokenizer: words to ids and back.
        generation: how captions are searched for.
        threshold: a caption whose tokens have a lower mean log-likelihood is withheld.
        encoder_fingerprint: of the encoder that it was trained on.
    """

    decoder: TextDecoder
    tokenizer: Tokenizer
    generation: GenerationConfig
    threshold: float
    encoder_fingerprint: str

    def to_text(self, ids: Tensor) -> list[str]:
        """Ids (B, L) of `Texts` to words with single blanks, lower-case."""
        texts = self.tokenizer.decode_batch(ids.tolist(), skip_special_tokens=True)
        return [text.replace(" 's", "'s") for text in texts]

    def caption(
        self, places: Array, chunk: int = CHUNK
    ) -> tuple[list[str], npt.NDArray[np.float64]]:
        """Captions of pictures, none withheld, and their mean log-likelihood a token.

        Args:
            places: float (N, P, C) of N pictures.
            chunk: pictures at a time.

        Returns:
            N texts, and float64 (N,).
        """
        captions: list[str] = []
        likelihoods = [np.zeros(0)]
        for start in range(0, len(places), chunk):
            context = self._context(places[start : start + chunk])
            texts = beam_search(self.decoder.eval(), context, config=self.generation)
            captions += self.to_text(texts.ids)
            likelihoods.append(texts.log_likelihood.double().cpu().numpy())
        return captions, np.concatenate(likelihoods)

    def answer(self, places: Array, questions: Sequence[str], chunk: int = CHUNK) -> list[str]:
        """The likeliest answers to questions about pictures.

        Args:
            places: float (N, P, C), the picture of each question.
            questions: N questions.
            chunk: questions at a time.
        """
        # An answer has one or two words: there is no length to choose.
        config = replace(self.generation, length_penalty=0.0)
        answers: list[str] = []
        for start in range(0, len(questions), chunk):
            asked = [self._prompt(question) for question in questions[start : start + chunk]]
            longest = max(len(ids) for ids in asked)
            prompt = torch.tensor([[PAD] * (longest - len(ids)) + ids for ids in asked])
            context = self._context(places[start : start + chunk])
            prompt = prompt.to(context.device)
            texts = beam_search(self.decoder.eval(), context, prompt=prompt, config=config)
            answers += self.to_text(texts.ids)
        return answers

    @torch.inference_mode()
    def log_likelihood(
        self, places: Array, question: str, answers: Sequence[str]
    ) -> npt.NDArray[np.float64]:
        """How likely each of some answers to a question is in each picture.

        Args:
            places: float (N, P, C).
            question: asked of every picture.
            answers: A texts.

        Returns:
            Sums over an answer's tokens, its end included, float64 (N, A); -inf where an answer
            has no words or one that the decoder does not know.
        """
        prompt = self._prompt(question)
        said = [encoding.ids for encoding in self.tokenizer.encode_batch(list(answers))]
        known = [bool(ids) and UNKNOWN not in ids for ids in said]
        rows = [[*prompt, START, *ids, END] for ids in said]
        longest = max(len(row) for row in rows)
        ids = torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])
        context = self._context(places)
        ids = ids.to(context.device).repeat(len(context), 1)
        targets = ids[:, len(prompt) + 1 :]
        logs = self.decoder.eval()(ids[:, :-1], context)[:, len(prompt) :].float().log_softmax(-1)
        words = logs.gather(2, targets[..., None])[..., 0].double()
        sums = words.masked_fill(targets == PAD, 0.0).sum(1).view(len(context), -1).cpu().numpy()
        return np.where(known, sums, -np.inf)

    def _prompt(self, question: str) -> list[int]:
        """Ids of a question's last words, as many as there is room for beside the longest text."""
        room = self.decoder.config.max_length - self.generation.max_tokens
        ids: list[int] = self.tokenizer.encode(question).ids
        return ids[-room:]

    def _context(self, places: Array) -> Tensor:
        device = self.decoder.embedding.weight.device
        return torch.from_numpy(np.asarray(places)).to(device, torch.float32)
