"""The real path from sound to timed texts, with a tiny Whisper of random weights."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.clips import draw
from videomm import transcribe
from videomm.cache import TimelineCache
from videomm.config import DecodingConfig, SpeechConfig
from videomm.errors import InstallationError, ModelNotAvailableError, NotAVideoError
from videomm.speech import read_speech
from videomm.video.sound import RATE
from videomm.video.worker import default_worker

SECONDS = 3


@pytest.fixture(scope="module", autouse=True)
def no_network():
    """Whatever is asked for, nothing is downloaded."""
    import huggingface_hub.constants

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        yield


def make_tokenizer() -> Any:
    """Bytes and Whisper's own tokens, no merges."""
    from faster_whisper.tokenizer import _LANGUAGE_CODES
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    out = Tokenizer(models.BPE({letter: place for place, letter in enumerate(letters)}, []))
    out.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    out.decoder = decoders.ByteLevel()
    names = ["endoftext", "startoftranscript", *_LANGUAGE_CODES, "translate", "transcribe"]
    names += ["startoflm", "startofprev", "nospeech", "notimestamps"]
    out.add_special_tokens([AddedToken(f"<|{name}|>", special=True) for name in names])
    out.add_tokens([AddedToken(f"<|{number * 0.02:.2f}|>") for number in range(1501)])
    return out


@pytest.fixture(scope="module")
def whisper(tmp_path_factory) -> Path:
    """The folder of a Whisper that ctranslate2 has converted."""
    import torch
    from ctranslate2.converters import TransformersConverter
    from faster_whisper.tokenizer import _LANGUAGE_CODES
    from transformers import (
        GenerationConfig,
        PreTrainedTokenizerFast,
        WhisperConfig,
        WhisperForConditionalGeneration,
    )

    folder = tmp_path_factory.mktemp("whisper")
    tokens = make_tokenizer()
    end, begin = (tokens.token_to_id(f"<|{name}|>") for name in ("endoftext", "startoftranscript"))
    shape = {f"{part}_{key}": value for part in ("encoder", "decoder") for key, value in
             (("layers", 1), ("attention_heads", 2), ("ffn_dim", 16))}  # fmt: skip
    torch.manual_seed(0)
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=tokens.get_vocab_size(),
            d_model=16,
            num_mel_bins=80,
            **shape,
            bos_token_id=end,
            eos_token_id=end,
            pad_token_id=end,
            decoder_start_token_id=begin,
        )
    )
    model.generation_config = GenerationConfig(
        lang_to_id={f"<|{c}|>": tokens.token_to_id(f"<|{c}|>") for c in _LANGUAGE_CODES},
        suppress_tokens=[],
        begin_suppress_tokens=[],
        alignment_heads=[[0, 0]],
    )
    model.save_pretrained(folder / "hf")
    name = "<|endoftext|>"
    PreTrainedTokenizerFast(
        tokenizer_object=tokens, unk_token=name, eos_token=name, bos_token=name
    ).save_pretrained(folder / "hf")
    converter = TransformersConverter(str(folder / "hf"), copy_files=["tokenizer.json"])
    converter.convert(str(folder / "random"))
    return folder / "random"


def write_video(path: Path, start: float = 0.0, sound: float | None = 0.0) -> str:
    """Three seconds of picture from `start` on, and as much of a tone from `sound` on, if any."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 160, 96, "yuv420p"
        audio: Any = None if sound is None else container.add_stream("pcm_s16le", rate=RATE)
        if audio is not None:
            audio.layout = "mono"
        for index in range(25 * SECONDS):
            frame = av.VideoFrame.from_ndarray(draw(index, 160, 96), "rgb24")
            frame.pts, frame.time_base = index + round(25 * start), Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        if audio is not None:
            wave = tone(SECONDS * RATE)
            for at in range(0, len(wave), 1000):
                part = av.AudioFrame.from_ndarray(wave[None, at : at + 1000], "s16", "mono")
                part.sample_rate, part.pts = RATE, at + round(RATE * sound)
                part.time_base = Fraction(1, RATE)
                container.mux(audio.encode(part))
            container.mux(audio.encode())
    return str(path)


def tone(count: int) -> np.ndarray:
    return (np.sin(np.arange(count) * 0.2) * 8000).astype(np.int16)


@pytest.mark.parametrize(("start", "sound"), [(0, 0), (5, 5), (5, 5.5), (5, 4.5), (0, 1)])
def test_sound_is_on_the_videos_clock(start, sound, tmp_path):
    path = write_video(tmp_path / "a.mkv", start, sound)
    samples = default_worker().sound(path, SECONDS, DecodingConfig())
    shift = round((sound - start) * RATE)
    expected = np.concatenate((np.zeros(max(shift, 0), np.int16), tone(SECONDS * RATE)))
    expected = expected[max(-shift, 0) :][: SECONDS * RATE]
    assert samples.dtype == np.int16
    assert abs(len(samples) - len(expected)) <= RATE // 25
    count = min(len(samples), len(expected))
    # Times in this container are whole milliseconds, 16 samples.
    offsets = [np.abs(np.roll(samples, by)[20 : count - 20].astype(int) - expected[20 : count - 20])
               for by in range(-16, 17)]  # fmt: skip
    assert min(item.mean() for item in offsets) < 40


def test_a_video_without_sound_has_none_and_noise_is_an_error(tmp_path):
    path = write_video(tmp_path / "a.mkv", sound=None)
    assert len(default_worker().sound(path, SECONDS, DecodingConfig())) == 0
    found = transcribe.transcribe(path, SECONDS, "base", tmp_path, DecodingConfig())
    assert found["warnings"] == ["there is no sound in it to transcribe"]
    (tmp_path / "b.mkv").write_bytes(b"noise" * 99)
    with pytest.raises(NotAVideoError):
        default_worker().sound(str(tmp_path / "b.mkv"), SECONDS, DecodingConfig())


@pytest.mark.slow
def test_a_model_hears_timed_texts_and_they_are_kept(whisper, tmp_path, tiny, monkeypatch):
    # A model of random weights calls its own output unlikely; a tone is no voice.
    real = transcribe._load(whisper).transcribe

    def sure(samples, **options):
        options |= {"vad_filter": False, "log_prob_threshold": None, "temperature": 0.0}
        return real(samples, compression_ratio_threshold=None, no_speech_threshold=None, **options)

    monkeypatch.setattr(transcribe._load(whisper), "transcribe", sure)
    path = write_video(tmp_path / "a.mkv")
    cache = TimelineCache(tmp_path / "cache")
    config = SpeechConfig("none", transcribe=True, speech_model=str(whisper))
    found, notes = read_speech(path, SECONDS, tiny, config, DecodingConfig(), cache)
    assert found is not None, notes
    assert found.source.startswith("speech model random (")
    assert all(0 <= item.start <= item.end for item in found.subtitles)
    expected = tiny.encode_text([item.text for item in found.subtitles])
    np.testing.assert_allclose(found.embeddings, expected, atol=1e-5)
    monkeypatch.setattr(transcribe, "_load", None)  # the second time nobody listens
    again, _ = read_speech(path, SECONDS, tiny, config, DecodingConfig(), cache)
    assert again.subtitles == found.subtitles


@pytest.mark.slow
def test_without_a_voice_nothing_is_heard(whisper, tmp_path):
    path = write_video(tmp_path / "a.mkv")
    found = transcribe.transcribe(path, SECONDS, str(whisper), whisper, DecodingConfig())
    assert found["subtitles"] == []


def test_missing_weights_say_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelNotAvailableError, match="not here; fetch them once with") as info:
        transcribe.find_weights("large-v3")
    assert "faster_whisper.download_model('large-v3')" in str(info.value)
    assert "\n" not in str(info.value)
    with pytest.raises(ModelNotAvailableError, match="or give a folder with"):
        transcribe.find_weights(str(tmp_path))
    with pytest.raises(ModelNotAvailableError, match="unknown speech model 'enormous': allowed"):
        transcribe.find_weights("enormous")
    (tmp_path / "model.bin").write_bytes(b"noise")
    with pytest.raises(ModelNotAvailableError, match="cannot be loaded"):
        transcribe._load(transcribe.find_weights(str(tmp_path))[0])


def test_without_the_extra_the_error_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(InstallationError, match=r"pip install 'videomm\[speech\]'"):
        transcribe.find_weights("base")
