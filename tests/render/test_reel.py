import av
import numpy as np
import pytest

from tests.clips import RECIPES, Clips, read_counter
from tests.render.sound_clips import watch, write_clip
from videomm.errors import DamagedVideoError, InvalidInputError, VideoNotFoundError
from videomm.render.reel import write_reel
from videomm.types import Segment
from videomm.video.reader import open_video

# From 0.4 to 1.9 there are two events, from 3.2 to 4.2 one.
SEGMENTS = [Segment(0.4, 1.9, 1.0), Segment(3.2, 4.2, 1.0)]
EXPECTED = [0.2, 1.2, 1.9]
STEP_SECONDS = 0.04


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return Clips(tmp_path_factory.mktemp("clips"))


def reel_of(path, tmp_path, segments=SEGMENTS):
    target = tmp_path / "reel.mp4"
    warnings = write_reel(str(path), segments, target, progress=False)
    return target, warnings


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mono.mp4", {}),
        ("stereo.mkv", {"layout": "stereo", "sample_rate": 48_000}),
        ("late_start.ts", {"first_pts": 50}),
        ("resampled.mp4", {"sample_rate": 22_050}),
        ("opus.webm", {"video": "libvpx", "audio": "libopus", "sample_rate": 48_000}),
        ("mp3.flv", {"audio": "libmp3lame"}),
    ],
)
def test_flash_and_beep_stay_together(name, options, tmp_path):
    target, warnings = reel_of(write_clip(tmp_path / name, **options), tmp_path)
    seen = watch(target)
    assert warnings == []
    assert seen.flashes == pytest.approx(EXPECTED, abs=STEP_SECONDS / 2)
    assert seen.beeps == pytest.approx(seen.flashes, abs=STEP_SECONDS)
    assert seen.sound_seconds == pytest.approx(2.5, abs=STEP_SECONDS)


def test_every_frame_of_the_stretches_and_no_other_is_there(clips, tmp_path):
    clip = clips.get("h264_mp4")
    segments = [Segment(0.2, 0.6, 1.0), Segment(1.0, 1.2, 1.0)]
    target, _ = reel_of(clip.path, tmp_path, segments)
    with av.open(str(target)) as container:
        frames = [(f.time, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    expected = [
        (offset + time - item.start, counter)
        for item, offset in zip(segments, (0.0, 0.4), strict=True)
        for time, counter in zip(clip.times, clip.counters, strict=True)
        if item.start - 1e-6 <= time < item.end - 1e-6
    ]
    assert [read_counter(pixels, clip) for _, pixels in frames] == [c for _, c in expected]
    assert [time for time, _ in frames] == pytest.approx([t for t, _ in expected], abs=1e-3)


def test_frames_of_a_variable_rate_keep_their_times(clips, tmp_path):
    name = next(name for name in RECIPES if "vfr" in name)
    clip = clips.get(name)
    start, end = clip.times[3] + 0.001, clip.times[20]
    target, _ = reel_of(clip.path, tmp_path, [Segment(start, end, 1.0)])
    with av.open(str(target)) as container:
        times = [f.time for f in container.decode(video=0)]
        stream = container.streams.video[0]
        length = float(stream.duration * stream.time_base)
    # The frame that is on screen at the start comes first, from 0 on.
    expected = [0.0, *(t - start for t in clip.times[4:20])]
    assert times == pytest.approx(expected, abs=1e-3)
    assert length == pytest.approx(end - start, abs=1e-3)


def test_rotation_is_applied(clips, tmp_path):
    name = next(name for name, recipe in RECIPES.items() if recipe.rotation in (90, 270))
    clip = clips.get(name)
    target, _ = reel_of(clip.path, tmp_path, [Segment(0.2, 0.5, 1.0)])
    with av.open(str(target)) as container:
        frame = next(container.decode(video=0))
    pixels = frame.to_ndarray(format="rgb24")
    assert frame.rotation == 0
    assert pixels.shape[:2] == (clip.width, clip.height)
    index = int(np.searchsorted(clip.times, 0.2 + 1e-6, side="right")) - 1
    assert read_counter(pixels, clip) == clip.counters[index]


def test_plays_in_browsers(tmp_path):
    target, _ = reel_of(write_clip(tmp_path / "a.mp4"), tmp_path)
    data = target.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(target)) as container:
        (video,), (audio,) = container.streams.video, container.streams.audio
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert video.codec_context.pix_fmt == "yuv420p"
        # BT.709 in a limited range, and told so.
        assert (video.codec_context.colorspace, video.codec_context.color_range) == (1, 1)


@pytest.mark.parametrize("name", ["silent.mp4", "silent.webm"])
def test_a_video_without_sound_gives_a_reel_without_sound(name, tmp_path):
    video = "libvpx" if name.endswith("webm") else "libx264"
    clip = write_clip(tmp_path / name, audio=None, video=video)
    target, warnings = reel_of(clip, tmp_path)
    assert warnings == []
    with av.open(str(target)) as container:
        assert len(container.streams.audio) == 0
    assert watch(target).flashes == pytest.approx(EXPECTED, abs=STEP_SECONDS / 2)


@pytest.mark.parametrize("size", [(1, 1), (33, 21), (2, 2)])
def test_odd_sizes_lose_at_most_a_row_and_a_column(size, tmp_path):
    path = tmp_path / "odd.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "bgr0"
        for shade in range(20):
            pixels = np.full((size[1], size[0], 3), 10 * shade, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    target, _ = reel_of(path, tmp_path, [Segment(0.0, 0.4, 1.0)])
    with open_video(target) as reader:
        assert (reader.info.width, reader.info.height) == tuple(
            side - side % 2 if side > 1 else 2 for side in size
        )


def test_sound_that_does_not_decode_costs_a_warning_not_the_reel(tmp_path):
    clip = write_clip(tmp_path / "a.mkv", audio="libmp3lame")
    noise = np.random.default_rng(0)
    packets = []
    with av.open(str(clip)) as container:
        packets = [bytes(p) for p in container.demux(audio=0) if p.size]
    data = bytearray(clip.read_bytes())
    for packet in packets:
        at = data.find(packet)
        data[at : at + len(packet)] = noise.integers(1, 200, len(packet), np.uint8).tobytes()
    clip.write_bytes(bytes(data))
    target, warnings = reel_of(clip, tmp_path)
    assert warnings == ["the sound cannot be decoded: the reel has none"]
    assert watch(target).flashes == pytest.approx(EXPECTED, abs=STEP_SECONDS / 2)


def test_sound_that_breaks_off_is_followed_by_silence(tmp_path):
    clip = write_clip(tmp_path / "a.mkv", audio="pcm_s16le")
    with av.open(str(clip)) as source, av.open(str(tmp_path / "cut.mkv"), "w") as container:
        streams = {s.index: container.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            late = packet.pts is not None and packet.pts * packet.time_base > 1.0
            if packet.size and not (packet.stream.type == "audio" and late):
                packet.stream = streams[packet.stream.index]
                container.mux(packet)
    target, _ = reel_of(tmp_path / "cut.mkv", tmp_path)
    seen = watch(target)
    assert seen.beeps == pytest.approx(EXPECTED[:1], abs=STEP_SECONDS)
    assert seen.flashes == pytest.approx(EXPECTED, abs=STEP_SECONDS / 2)
    assert seen.sound_seconds == pytest.approx(2.5, abs=STEP_SECONDS)


def test_a_stretch_past_a_cut_off_end_is_left_out(clips, tmp_path):
    clip = clips.get("cut_mkv")
    with open_video(clip.path) as reader:
        end = reader.info.duration
    target, _ = reel_of(clip.path, tmp_path, [Segment(0.0, 0.4, 1.0), Segment(end - 0.4, end, 1.0)])
    assert len(watch(target).frame_times) >= 10


def test_errors_say_what_to_do(tmp_path):
    clip = write_clip(tmp_path / "a.mp4")
    with pytest.raises(VideoNotFoundError):
        reel_of(tmp_path / "gone.mp4", tmp_path)
    with pytest.raises(DamagedVideoError, match="no frame of the chosen stretches"):
        reel_of(clip, tmp_path, [])
    with pytest.raises(InvalidInputError, match="leave it out with --no-reel"):
        write_reel(str(clip), SEGMENTS, tmp_path / "no" / "folder" / "reel.mp4", progress=False)


@pytest.mark.parametrize("colour", [(220, 30, 40), (20, 180, 60), (30, 60, 210), (250, 240, 20)])
def test_colours_stay(colour, tmp_path):
    path = tmp_path / "plain.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        pixels = np.broadcast_to(np.array(colour, np.uint8), (48, 64, 3))
        for _ in range(10):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    target, _ = reel_of(path, tmp_path, [Segment(0.0, 0.3, 1.0)])
    with open_video(target) as reader:
        shown = reader.get_frames_at([0.1]).pixels[0, 24, 32]
    assert np.abs(shown.astype(int) - colour).max() <= 6
