"""The embedded model's image tower against the plain timm module, in one run.

The plain way: timm's `efficientnet_lite0` with open_clip's MLP head, as open_clip loads the folder,
called on a batch of images in torch's default memory layout; beside it the same in channels-last
layout, which suits a CPU better. Ours: the tower of `videomm.towers`, with the same weights.

    python benchmarks/tower.py [--threads 2] [--repeats 5] [--batch 1 8 32]

Verifies that both give the same embeddings to 1e-3, then times them in turns, the quickest of the
repeats each; JSON with frames a second and the ratios on the last line.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import open_clip
import torch
from torch import Tensor

from videomm.encoder import TINY_DIR
from videomm.towers.folder import Towers


def plain_tower(layout: torch.memory_format) -> torch.nn.Module:
    """The image tower as open_clip loads it, its weights in a memory layout."""
    model = open_clip.create_model(f"local-dir:{TINY_DIR.resolve()}", require_pretrained=True)
    tower: torch.nn.Module = model.visual.eval().to(memory_format=layout)
    return tower


def quickest(ways: dict[str, Callable[[], Tensor]], repeats: int) -> dict[str, float]:
    """Seconds of each way: the least of the repeats, which take turns."""
    seconds = dict.fromkeys(ways, float("inf"))
    for _ in range(repeats):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


@torch.inference_mode()
def main() -> None:
    """Load, verify, time, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, help="torch's own choice unless given")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32])
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    ours = Towers(TINY_DIR, torch.device("cpu")).visual
    plain = plain_tower(torch.contiguous_format)
    plain_last = plain_tower(torch.channels_last)
    size = ours.preprocess_cfg["size"]
    report: dict[str, object] = {
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "fused": ours.fused,
    }
    for batch in args.batch:
        images = torch.randn(batch, 3, *size)
        images_last = images.contiguous(memory_format=torch.channels_last)
        ways: dict[str, Callable[[], Tensor]] = {
            "timm": lambda images=images: plain(images),  # type: ignore[misc]
            "timm channels-last": lambda images=images_last: plain_last(images),  # type: ignore[misc]
            "ours": lambda images=images_last: ours(images),  # type: ignore[misc]
        }
        expected = ways["timm"]()
        for name, way in ways.items():  # warms up as well
            error = float((way() - expected).abs().max())
            assert error < 1e-3, f"{name} is off by {error} at batch {batch}"
        rates = {name: batch / s for name, s in quickest(ways, args.repeats).items()}
        for name, rate in rates.items():
            ratio = rate / rates["timm"]
            print(f"batch {batch:3d}  {name:<20}{rate:7.1f} frames a second  {ratio:5.2f} x")
        figures = {name: round(rate, 1) for name, rate in rates.items()}
        ratios = {
            f"ours / {name}": round(rates["ours"] / rates[name], 2) for name in list(rates)[:2]
        }
        report[f"batch {batch}"] = figures | ratios
    print(json.dumps(report))


if __name__ == "__main__":
    main()
