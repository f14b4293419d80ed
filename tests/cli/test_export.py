import sys

import pytest


def test_wrong_usage_says_so_before_any_work(videomm, tmp_path, monkeypatch):
    (tmp_path / "tiny-onnx").mkdir()
    (tmp_path / "tiny-onnx" / "image.onnx").touch()
    monkeypatch.chdir(tmp_path)
    done = videomm("export", "tiny")
    assert done.code == 2
    assert "'tiny-onnx' exists and is not empty; give --force" in done.err
    done = videomm("export", "x", "--out", tmp_path / "new")
    assert "unknown model 'x'" in done.err
    monkeypatch.setitem(sys.modules, "onnx", None)
    done = videomm("export", "tiny")
    assert "pip install 'videomm[onnx]'" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.slow
def test_tiny_gives_its_towers_and_its_tokenizer(videomm, tiny, tmp_path):
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    (row,) = videomm("export", "tiny", "--out", tmp_path / "out", "--json").rows
    assert row["out"] == str(tmp_path / "out")
    assert row["tokenizer"] == "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    texts = ["a cat", "a rocket launch"]
    ids = np.array([one.ids for one in tokenizer.encode_batch(texts)])
    session = onnxruntime.InferenceSession(tmp_path / "out" / "text.onnx")
    (found,) = session.run(None, {"ids": ids})
    np.testing.assert_allclose(found, tiny.encode_text(texts), atol=1e-4)
