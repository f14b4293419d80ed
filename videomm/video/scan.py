"""One pass over a file's packets, without decoding: its true length, and what it proves."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from videomm.video.bitstream import PacketReader
from videomm.video.containers import codec_name, cut_off_bytes, packets_until_damage
from videomm.video.frames_shown import MAX_GAP_SECONDS, FloatArray, IntArray, all_seconds_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

# FFmpeg applies an mp4's edit list to the timestamps and marks what it hides.
_SEEKABLE_CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")

_FALLBACK_RATE = Fraction(25)


@dataclass(frozen=True, eq=False)
class PacketScan:
    """What the packets say.

    Attributes:
        pts: int64 (N,), ticks of the packets that are to be shown, in decode order, with
            jumps back (joined streams) unrolled.
        keys: int64 (K,), positions in `pts` of the packets where decoding can start.
        time_base: seconds a tick.
        step: ticks between two frames at the stream's frame rate.
        last_step: ticks that the last frame stays on screen.
        unproven: why decoding cannot safely start at every key packet; empty where it can.
        unsure_pictures: why the packets may not be one shown picture each; empty where they are.
        stamped: whether packets carry times at all.
        declared: seconds that the container states for the stream, or None.
        cut_off: the file ends before what its own header promises, or reading it failed.
    """

    pts: IntArray
    keys: IntArray
    time_base: Fraction
    step: int
    last_step: int
    unproven: str
    unsure_pictures: str
    stamped: bool
    declared: float | None
    cut_off: bool

    @property
    def end(self) -> int:
        """Ticks at which the last frame leaves the screen."""
        return int(self.pts.max()) + self.last_step if len(self.pts) else 0

    def shown_seconds(self, start: int) -> FloatArray:
        """float64 (N,), ascending: when each frame comes on screen, relative to `start` ticks."""
        return all_seconds_of(np.sort(self.pts) - start, self.time_base)


@dataclass
class _Tally:
    pts: array[int] = field(default_factory=lambda: array("q"))
    keys: array[int] = field(default_factory=lambda: array("q"))
    unstamped: int = 0
    hidden: int = 0
    corrupt: int = 0
    wild: int = 0
    packets: int = 0
    durations: dict[int, int] = field(default_factory=dict)
    error: str = ""
    weak_key: bool = False
    odd_picture: bool = False
    new_parameters: bool = False


def scan_packets(
    path: str, container: InputContainer, stream: VideoStream, inspect_packets: int
) -> PacketScan:
    """Read all packets once.

    Args:
        path: the file, for the size checks.
        container: freshly opened.
        stream: its video stream.
        inspect_packets: files of up to this many packets have each one inspected for
            `unsure_pictures`; larger ones only their key packets.
    """
    context: Any = stream.codec_context
    reader = PacketReader(codec_name(stream), bytes(context.extradata or b""))
    time_base = time_base_of(stream)
    step = frame_step(stream)
    tally = _read(container, stream, reader, step, inspect_packets)
    pts = _unroll(np.frombuffer(tally.pts, dtype=np.int64).copy(), time_base, step)
    keys = np.frombuffer(tally.keys, dtype=np.int64).copy()
    last_step = tally.durations.get(int(np.argmax(pts)), 0) if len(pts) else 0
    unsure = ""
    if not reader.understands:
        unsure = "its packets cannot be inspected"
    elif tally.packets > inspect_packets:
        unsure = "it is too long to inspect every packet"
    elif tally.odd_picture or tally.new_parameters:
        unsure = "its packets are not one picture each, or its picture size changes"
    declared = declared_seconds(container, stream)
    seconds = float((int(np.ptp(pts)) + 1.5 * step) * time_base) if len(pts) else 0.0
    # An mp4's index lists packets that are not there. An edit list that leaves out the end
    # lists more too, but then the stated duration is the shorter one.
    lost = container.format.name.startswith("mov") and stream.frames > tally.packets
    lost = lost and declared is not None and declared > seconds + float(step * time_base)
    cut_off = bool(tally.error or tally.corrupt or lost)
    cut_off = cut_off or cut_off_bytes(path, container.format.name)
    unproven = _why_unproven(container.format.name, pts, keys, tally, reader.understands)
    return PacketScan(
        pts=pts,
        keys=keys,
        time_base=time_base,
        step=step,
        last_step=last_step or step,
        unproven="the file is cut off or damaged" if cut_off else unproven,
        unsure_pictures=unsure,
        stamped=tally.unstamped < tally.packets or tally.packets == 0,
        declared=declared,
        cut_off=cut_off,
    )


def declared_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """The length that the container's header states, or None."""
    if stream.duration:
        return float(stream.duration * time_base_of(stream))
    if container.duration:
        # Matroska states the time of the end, whatever the time of the start.
        matroska = container.format.name.startswith("matroska")
        start = container.start_time or 0 if matroska else 0
        return max(0.0, float((container.duration - start) / 1_000_000))
    return None


def frame_step(stream: VideoStream) -> int:
    """Ticks between two frames at the stream's stated rate, at least 1."""
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and 0 < rate <= 1000:
            return max(1, round(1 / (Fraction(rate) * time_base_of(stream))))
    return max(1, round(1 / (_FALLBACK_RATE * time_base_of(stream))))


def time_base_of(stream: VideoStream) -> Fraction:
    """Seconds a tick; FFmpeg always has one for a demuxed stream."""
    return Fraction(stream.time_base or 1)


def _read(
    container: InputContainer,
    stream: VideoStream,
    reader: PacketReader,
    step: int,
    inspect_packets: int,
) -> _Tally:
    tally = _Tally()
    max_gap = int(MAX_GAP_SECONDS / time_base_of(stream))
    last: int | None = None
    # Only the packet that is displayed last needs its duration, so a few candidates do.
    latest = None
    for packet in packets_until_damage(container, stream):
        if isinstance(packet, Exception):
            tally.error = str(packet)
            break
        if packet.size == 0:
            continue
        tally.packets += 1
        tally.corrupt += packet.is_corrupt
        stamp = packet.pts if packet.pts is not None else packet.dts
        tally.unstamped += packet.pts is None
        if packet.is_discard:
            tally.hidden += 1
            continue
        if stamp is None:
            stamp = 0 if last is None else last + step
        elif last is not None and abs(stamp - last) > max_gap:
            tally.wild += 1
            continue
        last = stamp
        if packet.is_keyframe or tally.packets <= inspect_packets:
            facts = reader.read(bytes(packet))
            tally.weak_key |= packet.is_keyframe and not facts.random_access
            tally.odd_picture |= facts.shown_pictures != 1
            tally.new_parameters |= facts.new_parameters
        if packet.is_keyframe:
            tally.keys.append(len(tally.pts))
        if packet.duration and (latest is None or stamp >= latest):
            latest = stamp
            tally.durations = {len(tally.pts): packet.duration}
        tally.pts.append(stamp)
    return tally


def _unroll(pts: IntArray, time_base: Fraction, step: int) -> IntArray:
    """Let streams that were joined end to end, each starting anew, follow one another."""
    if len(pts) < 2:
        return pts
    far_back = max(int(1 / time_base), 20 * step)
    highest = np.maximum.accumulate(pts)
    breaks = np.flatnonzero(pts[1:] < highest[:-1] - far_back) + 1
    if len(breaks) == 0:
        return pts
    out = pts.copy()
    top = int(pts[0])
    offset = 0
    for at, stamp in enumerate(pts.tolist()):
        now = stamp + offset
        if now < top - far_back:
            offset += top + step - now
            now = top + step
        top = max(top, now)
        out[at] = now
    return out


def _why_unproven(
    container: str, pts: IntArray, keys: IntArray, tally: _Tally, understood: bool
) -> str:
    """Why decoding may not start at any key packet and still give the same pictures."""
    if container not in _SEEKABLE_CONTAINERS:
        return f"entry points in {container} files are not reliable"
    if tally.hidden:
        return "an edit list hides some of its frames"
    if tally.unstamped or tally.wild:
        return "some packets have no usable time"
    if not understood:
        return "its entry points cannot be inspected"
    if len(pts) == 0 or len(keys) == 0 or keys[0] != 0:
        return "it does not start with a key frame"
    if tally.weak_key:
        return "its key frames are not all clean entry points (open GOPs or hidden frames)"
    if not _closed_gops(pts, keys):
        return "it has open GOPs"
    if len(np.unique(pts)) != len(pts):
        return "two of its frames have the same time"
    return ""


def _closed_gops(pts: npt.NDArray[np.int64], keys: npt.NDArray[np.int64]) -> bool:
    """Whether no frame after a key packet in decode order is displayed before it, and vice versa.

    Only timestamps are compared; that references do not reach back over the key packet is
    what `PacketFacts.random_access` adds.
    """
    earliest_after = np.minimum.accumulate(pts[::-1])[::-1]
    latest_before = np.maximum.accumulate(pts)
    inner = keys[keys > 0]
    clean = (earliest_after[keys] == pts[keys]).all()
    return bool(clean and (latest_before[inner - 1] < pts[inner]).all())
