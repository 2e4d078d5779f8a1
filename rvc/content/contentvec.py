"""Content features that most RVC voices were trained on: ContentVec (Qian et al. 2022), a HuBERT network.

Voices of RVC v2 take the output of its last layer (768 wide), those of v1 a projection of its ninth (256
wide); both hear the recording as it is, not brought to one level.

Row j hears the samples from 320 j to 320 j + 400, so its middle lies 12.5 ms after the sample 320 j that our
protocol names. That is how the original pairs content with pitch, and voices learnt it so. As there, the
recording is continued by one second of its mirror image on both sides, so that its ends have a context and
the last rows what they hear; the rows of the continuation are dropped. The original loses the last row of a
recording or two; here each row begun is given. The first convolution is normalised over the time that the
network sees: windows are long, and a recording of half a minute is one window.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from rvc.base_models import BaseModel
from rvc.content.hubert import RECEPTIVE_FIELD_SAMPLES, SAMPLES_PER_ROW, HubertNetwork
from rvc.content.windows import WindowGrid
from rvc.contract import ContentEncoder as ContentEncoderName
from rvc.errors import InvalidConfiguration

V1_LAYERS = 9
"""Voices of v1 use the output of this layer."""

_MARGIN_ROWS = 50
_MARGIN_SAMPLES = _MARGIN_ROWS * SAMPLES_PER_ROW
_GRID = WindowGrid(hop_frames=1500, context_frames=100, fade_frames=50)


class ContentVecEncoder:
    """The content encoders `ContentVec768` and `ContentVec256`; see `rvc.content.ContentEncoder`."""

    def __init__(self, name: ContentEncoderName, weights: BaseModel, device: torch.device) -> None:
        self.name = name
        self.digest = weights.digest
        self._device = device
        self._network = HubertNetwork.of(weights.tensors).to(device)
        self._projected = name == ContentEncoderName.CONTENT_VEC_256
        if self._projected and not hasattr(self._network, "final_projection"):
            raise InvalidConfiguration(
                f"the ContentVec weights in the base-model folder have no final projection, which {name} "
                "needs; add the original's hubert_base.pt or pytorch_model.bin with `rvc add-base`",
                reason="ContentEncoderUnavailable",
            )

    @property
    def dimension(self) -> int:
        """Width of a row."""
        projection = self._network.final_projection if self._projected else self._network.norm
        return len(projection.bias)

    def __call__(self, audio: np.ndarray) -> np.ndarray:
        """Features [ceil(samples / 320), dimension] of the whole recording."""
        return self.encode_range(audio, 0, _row_count(len(audio)))

    def encode_range(self, audio: np.ndarray, first_frame: int, last_frame: int) -> np.ndarray:
        """Rows [first_frame, last_frame) of what the whole recording gives."""
        blocks = list(self._rows(audio, first_frame, last_frame))
        return np.concatenate(blocks) if blocks else np.zeros((0, self.dimension), np.float32)

    def encode_blocks(self, audio: np.ndarray) -> Iterator[np.ndarray]:
        """Rows of the whole recording in blocks of about half a minute; each window is computed once."""
        return self._rows(audio, 0, _row_count(len(audio)))

    def _rows(self, audio: np.ndarray, first: int, last: int) -> Iterator[np.ndarray]:
        return _GRID.rows(
            lambda start, end: self._encode_window(audio, start, end), _row_count(len(audio)), first, last
        )

    @torch.inference_mode()
    def _encode_window(self, audio: np.ndarray, start: int, end: int) -> np.ndarray:
        samples, first = _heard(audio, start, end)
        x = torch.from_numpy(samples).to(self._device)[None]
        if self._projected:
            features = self._network.final_projection(self._network(x, V1_LAYERS))
        else:
            features = self._network(x)
        return np.asarray(features[0, first : first + end - start].cpu().numpy())


def _row_count(samples: int) -> int:
    return -(-samples // SAMPLES_PER_ROW)


def _heard(audio: np.ndarray, start: int, end: int) -> tuple[np.ndarray, int]:
    """What the network hears for the rows [start, end), and which of its rows is the row `start`.

    Inside the recording just the samples of those rows, at its ends the mirrored second as well.
    """
    heard_until = end * SAMPLES_PER_ROW + RECEPTIVE_FIELD_SAMPLES - SAMPLES_PER_ROW
    before = _MARGIN_SAMPLES if start == 0 else 0
    after = _MARGIN_SAMPLES if heard_until > len(audio) else 0
    inside = audio[start * SAMPLES_PER_ROW : heard_until].astype(np.float32, copy=False)
    return np.pad(inside, (before, after), mode="reflect"), before // SAMPLES_PER_ROW
