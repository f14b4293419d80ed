"""Against a stand-in for the hub; its client reads the environment once, hence the subprocesses."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.sharing.hub_server import READER, WRITER, Repo, serve
from tests.sharing.models import random_model, write_small_encoder
from videomm.cli.demo import CLIP
from videomm.encoder import load_encoder
from videomm.errors import InvalidInputError, ModelNotAvailableError, UploadError
from videomm.hub import save_model, write_model
from videomm.sharing.push import SHARED, push_model

PRIVATE = ("split.csv", "settings.json", "metrics.json", "report.html", "checkpoint.pt")


@pytest.fixture(scope="module")
def hub():
    with serve() as hub:
        yield hub


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
    """A folder as training leaves it, with the user's paths in all that is not to be shared."""
    folder = tmp_path_factory.mktemp("train") / "mymodel"
    save_model(random_model(tiny), folder)
    (folder / "README.md").write_text("# mymodel\n")
    (folder / "labels.txt").write_text("checks\n")
    (folder / "sub").mkdir()
    for name in (*PRIVATE, "sub/config.json"):
        (folder / name).write_text("/home/me/secret.mp4")
    return folder


@pytest.fixture
def here(hub, monkeypatch, tmp_path):
    """The hub's client in this process, with the stand-in for the hub and a cache of its own."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return monkeypatch


@pytest.fixture
def videomm(hub, tmp_path):
    def run(*args, **env):
        own = {
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_TOKEN": WRITER,
            "HF_HUB_DISABLE_XET": "1",
            "VIDEOMM_CACHE": str(tmp_path / "cache"),
        }
        call = [sys.executable, "-m", "videomm.cli.main", *map(str, args)]
        return subprocess.run(call, env=os.environ | own | env, capture_output=True, text=True)

    return run


@pytest.mark.slow
def test_what_is_pushed_is_loaded_by_name_and_says_the_same(videomm, hub, folder):
    done = videomm("push", folder, "me/mymodel", "--quiet")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{folder} -> {hub.url}/me/mymodel",
        "  uploaded: README.md, config.json, labels.txt, model.safetensors",
        "  left out: checkpoint.pt, metrics.json, report.html, settings.json, split.csv, sub",
        "  use it: videomm classify CLIP --model hf-hub:me/mymodel",
    ]
    assert sorted(hub.repos["me/mymodel"].files) == sorted(set(SHARED) - {"encoder"})
    for name, data in hub.repos["me/mymodel"].files.items():
        assert data == (folder / name).read_bytes()
    rows = []
    for model, env in (
        (folder, {}),
        ("hf-hub:me/mymodel", {}),
        ("hf-hub:me/mymodel", {"HF_HUB_OFFLINE": "1"}),
    ):
        done = videomm("classify", CLIP, "--model", model, "--json", **env)
        assert done.returncode == 0, done.stderr
        rows.append(json.loads(done.stdout))
    names = [row.pop("model") for row in rows]
    assert names == [str(folder), "hf-hub:me/mymodel", "hf-hub:me/mymodel"]
    assert rows[0] == rows[1] == rows[2]


@pytest.mark.slow
def test_an_encoder_that_was_trained_with_its_model_goes_with_it(videomm, hub, tmp_path):
    folder = tmp_path / "mymodel"
    folder.mkdir()
    write_small_encoder(folder / "encoder")
    write_model(random_model(load_encoder(f"local-dir:{folder / 'encoder'}")), folder)
    done = videomm("push", folder, "me/whole", "--quiet")
    assert done.returncode == 0, done.stderr
    pushed = set(hub.repos["me/whole"].files)
    assert {"config.json", "encoder/open_clip_config.json"} < pushed
    assert len(pushed) == 2 + len(list((folder / "encoder").iterdir()))
    rows = []
    for model in (folder, "hf-hub:me/whole"):
        done = videomm("classify", CLIP, "--model", model, "--json")
        assert done.returncode == 0, done.stderr
        rows.append(json.loads(done.stdout)["labels"])
    assert rows[0] == rows[1]


@pytest.mark.slow
def test_hub_names_that_lead_to_no_model_are_said_in_a_line(videomm, hub, folder):
    pushed = {name: (folder / name).read_bytes() for name in ("config.json", "model.safetensors")}
    config = json.loads(pushed["config.json"])
    other = json.dumps(config | {"encoder_fingerprint": "1"}).encode()
    hub.repos["me/other"] = Repo(files=pushed | {"config.json": other})
    hub.repos["me/pickle"] = Repo(files={"config.json": pushed["config.json"], "model.pt": b"x"})
    for name, message in (
        ("gone", "there is no hf-hub:me/gone for you on the Hugging Face hub: check the name"),
        ("other", "hf-hub:me/other was trained on encoder tiny with weights 1, here they are"),
        ("pickle", "hf-hub:me/pickle is not a whole model folder: "),
    ):
        done = videomm("classify", CLIP, "--model", f"hf-hub:me/{name}")
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].startswith(f"videomm: {message}")
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_model_whose_encoder_lies_on_the_hub(videomm, hub, tmp_path):
    from videomm.encoder import load_encoder

    write_small_encoder(tmp_path / "encoder")
    save_model(random_model(load_encoder(f"local-dir:{tmp_path}/encoder")), tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_bytes())
    (tmp_path / "model" / "config.json").write_text(
        json.dumps(config | {"encoder": "hf-hub:me/encoder"})
    )
    hub.repos["me/encoder"] = Repo(files=read_files(tmp_path / "encoder"))
    hub.repos["me/above"] = Repo(files=read_files(tmp_path / "model"))
    for args in (("hf-hub:me/above",), ("hf-hub:me/encoder", "--labels", "a cat,a dog")):
        done = videomm("classify", CLIP, "--json", "--model", *args)
        assert done.returncode == 0, done.stderr
    hub.repos["me/encoder"].files |= read_files(write_small_encoder(tmp_path / "other", seed=1))
    done = videomm("classify", CLIP, "--model", "hf-hub:me/above")
    assert done.returncode == 2
    assert "was trained on encoder hf-hub:me/encoder with weights " in done.stderr
    del hub.repos["me/encoder"]
    done = videomm("classify", CLIP, "--model", "hf-hub:me/encoder", "--labels", "a cat,a dog")
    assert done.returncode == 0, done.stderr  # it is kept here


def read_files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_private_one_is_made_private(here, hub, folder):
    here.setenv("HF_TOKEN", WRITER)
    assert push_model(folder, "me/hidden", private=True, progress=False).repo == "me/hidden"
    assert hub.repos["me/hidden"].private
    hub.repos["me/open"] = Repo()
    with pytest.raises(UploadError, match="me/open exists and is public, nothing was uploaded"):
        push_model(folder, "me/open", private=True)
    assert hub.repos["me/open"].files == {}


@pytest.mark.parametrize(
    ("token", "repo", "message"),
    [
        ("", "me/x", "no token of the Hugging Face hub is here: log in with `hf auth login`"),
        ("hf_bad", "me/x", "me/x was not uploaded: the hub does not know this token; log in"),
        (READER, "me/x", "me/x was not uploaded: this token may not write there"),
        (WRITER, "a/b/c", "a/b/c was not uploaded: Repo id must be in the form"),
    ],
)
def test_refusals(here, hub, folder, token, repo, message):
    here.setenv("HF_TOKEN", token)
    with pytest.raises(UploadError, match=message) as caught:
        push_model(folder, repo, progress=False)
    assert "\n" not in str(caught.value)
    assert repo not in hub.repos


def test_no_connection(here, folder):
    from huggingface_hub import constants

    here.setenv("HF_TOKEN", WRITER)
    here.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        UploadError, match=r"me/x was not uploaded: .*; check the name .*connection"
    ):
        push_model(folder, "me/x")


def test_what_is_no_model(here, hub, folder, tmp_path):
    asked = len(hub.requests)
    with pytest.raises(InvalidInputError, match="no folder of videomm train: it has no config"):
        push_model(tmp_path, "me/x")
    shutil.copy(folder / "settings.json", tmp_path)
    with pytest.raises(ModelNotAvailableError, match="its training is not finished"):
        push_model(tmp_path, "me/x")
    shutil.copy(folder / "config.json", tmp_path)
    with pytest.raises(ModelNotAvailableError, match="is not a whole model folder"):
        push_model(tmp_path, "me/x")
    assert len(hub.requests) == asked


def test_an_encoder_that_others_do_not_have(here, folder, tmp_path):
    from videomm.encoder import TINY_DIR, load_encoder

    save_model(random_model(load_encoder(f"local-dir:{TINY_DIR}")), tmp_path / "m")
    with pytest.raises(
        InvalidInputError, match=r"trained on the encoder in 'local-dir:.*which only"
    ):
        push_model(tmp_path / "m", "me/x")
