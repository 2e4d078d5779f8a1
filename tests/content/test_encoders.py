import pytest
import torch

from rvc.base_models.filling import filling, put
from rvc.content import load_content_encoder, resolve_content_encoder
from rvc.contract import Architecture, ContentEncoder
from rvc.errors import InvalidConfiguration
from tests.content.hubert import tiny_tensors

CPU = torch.device("cpu")


def folder_with_contentvec(folder, projection):
    with filling(folder):
        put(folder, "contentvec", tiny_tensors(projection), "a test")
    return folder


def test_auto_is_what_the_voices_of_an_architecture_are_made_for(tmp_path):
    folder = folder_with_contentvec(tmp_path, 24)
    auto = ContentEncoder.AUTO
    assert resolve_content_encoder(auto, Architecture.RVC2, folder) == ContentEncoder.CONTENT_VEC_768
    assert resolve_content_encoder(auto, Architecture.LIGHT, folder) == ContentEncoder.SMALL
    narrow = ContentEncoder.CONTENT_VEC_256
    assert resolve_content_encoder(narrow, Architecture.RVC2, folder) == narrow
    with pytest.raises(InvalidConfiguration, match="use ContentVec768 or ContentVec256"):
        resolve_content_encoder(ContentEncoder.SMALL, Architecture.RVC2, folder)


def test_contentvec_that_is_not_there_is_told_before_the_work(tmp_path):
    with pytest.raises(InvalidConfiguration, match=r"--only contentvec.*rvc add-base") as error:
        resolve_content_encoder(ContentEncoder.AUTO, Architecture.RVC2, tmp_path)
    assert error.value.reason == "BaseModelMissing"
    with pytest.raises(InvalidConfiguration, match="contentvec is not in"):
        load_content_encoder(ContentEncoder.CONTENT_VEC_768, tmp_path, CPU)


def test_one_folder_serves_both_versions(tmp_path):
    folder = folder_with_contentvec(tmp_path, 24)
    wide, narrow = (
        load_content_encoder(name, folder, CPU)
        for name in (ContentEncoder.CONTENT_VEC_768, ContentEncoder.CONTENT_VEC_256)
    )
    assert (wide.name, narrow.name) == (ContentEncoder.CONTENT_VEC_768, ContentEncoder.CONTENT_VEC_256)
    assert (wide.dimension, narrow.dimension) == (64, 24)
    assert wide.digest == narrow.digest


def test_without_the_projection_only_v2_is_served(tmp_path):
    folder = folder_with_contentvec(tmp_path, 0)
    assert load_content_encoder(ContentEncoder.CONTENT_VEC_768, folder, CPU).dimension == 64
    with pytest.raises(InvalidConfiguration, match="no final projection, which ContentVec256 needs"):
        load_content_encoder(ContentEncoder.CONTENT_VEC_256, folder, CPU)
