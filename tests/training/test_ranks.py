"""Two processes train as one does."""

import json
import os
import socket
import subprocess
import sys

import pytest
import torch

from tests.conftest import ROOT
from tests.picture_pairs import write_pairs
from videomm.training.ranks import gather, rank, share, sum_gradients, wait_for_all, world_size


def test_one_process_has_it_all():
    rows = torch.arange(5)
    assert (rank(), world_size()) == (0, 1)
    assert torch.equal(share(rows), rows)
    part = torch.ones(5, 2, requires_grad=True)
    assert gather(part, 5) is part
    wait_for_all()
    weight = torch.nn.Parameter(torch.ones(2))
    (weight * 3).sum().backward()
    sum_gradients([weight])
    assert weight.grad.tolist() == [3, 3]


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(tmp_path):
    write_pairs(tmp_path / "pictures", 20)
    losses = []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]
    for name, launch in (("one", []), ("two", ranks)):
        (tmp_path / f"{name}.toml").write_text(
            f'data = "pictures/pairs.jsonl"\nout = "{name}"\n[train]\nsteps = 5\nbatch_size = 7\n'
            "crop_size = 64\nmeasure_every = 1\ntrunk_lr = 1e-3\n"
        )
        call = [sys.executable, *launch, "-m", "videomm.cli.main", "pretrain", f"{name}.toml"]
        env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        subprocess.run(call, cwd=tmp_path, env=env, check=True, capture_output=True)
        lines = (tmp_path / name / "log.jsonl").read_text().splitlines()
        losses.append([json.loads(line)["loss"] for line in lines])
    assert len(losses[0]) == 5
    assert losses[1] == pytest.approx(losses[0], abs=1e-4)
