import struct

import numpy as np
import pytest

from rvc.base_models.convert import read_ctranslate2
from rvc.errors import ArtifactCorrupt


def text(value: str) -> bytes:
    encoded = value.encode() + b"\0"
    return struct.pack("<H", len(encoded)) + encoded


def model_file(variables: dict[str, np.ndarray], version: int = 6) -> bytes:
    codes = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}
    content = struct.pack("<I", version) + text("WhisperSpec") + struct.pack("<II", 3, len(variables))
    for name, array in variables.items():
        content += text(name) + struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        content += struct.pack("<BI", codes[array.dtype.name], array.nbytes) + array.tobytes()
    return content


VARIABLES = {
    "encoder/weight": np.arange(6, dtype=np.float16).reshape(2, 3),
    "encoder/heads": np.array(8, np.int16),
    "scales": np.ones((4,), np.float32),
}


def test_variables_come_out_as_they_went_in():
    read = read_ctranslate2(model_file(VARIABLES))
    assert list(read) == list(VARIABLES)
    for name, array in VARIABLES.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype


@pytest.mark.parametrize("size", [0, 3, 20, 60, -1])
def test_a_cut_off_file_is_refused(size):
    with pytest.raises(ArtifactCorrupt, match="whole"):
        read_ctranslate2(model_file(VARIABLES)[:size])


def test_another_version_is_refused():
    with pytest.raises(ArtifactCorrupt, match="version 9"):
        read_ctranslate2(model_file(VARIABLES, version=9))
