import json

from open_clip.hf_configs import arch_dict

from tests.picture_pairs import write_albert
from videomm.encoder import TINY_DIR
from videomm.text_models import know_family, text_settings


def test_an_encoder_with_a_text_tower_of_open_clip_needs_no_help():
    assert text_settings(TINY_DIR) == {}


def test_a_text_model_is_found_in_the_folder_itself(tmp_path):
    text = {"hf_model_name": "text", "context_length": 12}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": {"text_cfg": text}}))
    assert text_settings(tmp_path) == {}
    inner = write_albert(tmp_path / "text")
    found = text_settings(tmp_path)["text_cfg"]
    assert found == text | {"hf_model_name": str(inner.resolve()), "hf_model_pretrained": False}
    assert arch_dict["albert"]["config_names"]["width"] == "hidden_size"
    before = dict(arch_dict["bert"])
    know_family("bert")
    assert arch_dict["bert"] == before
