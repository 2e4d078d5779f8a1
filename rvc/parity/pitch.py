"""Pitch against the original's: mel spectrograms, saliences, F0 and bins."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch

from rvc.base_models import BaseModel, BaseModelName, open_base_model
from rvc.contract import PitchMethod
from rvc.errors import InvalidConfiguration
from rvc.parity.fill import fill
from rvc.parity.findings import Check, Deviation, Finding, absolute, equal, not_compared, relative
from rvc.pitch import crepe, rmvpe
from rvc.pitch.crepe import CREPE
from rvc.pitch.fcpe import FCPE
from rvc.pitch.praat import Praat
from rvc.pitch.quantise import pitch_bins
from rvc.pitch.rmvpe import RMVPE
from rvc.pitch.rmvpe_network import RMVPENetwork, Sizes
from rvc.pitch.windows import HOP

_CPU = torch.device("cpu")
_MEL_TOLERANCE = 1e-4
_SALIENCE_TOLERANCE = 5e-4
"""Large random networks magnify rounding: that another processor adds in another order moves their
salience by 1e-4, and a mel spectrogram 1e-5 off moves it no further."""
_F0_TOLERANCE_HERTZ = 0.01
_DECODED_TOLERANCE = 1e-5
"""Relative: the same salience decoded."""
_CHAIN_TOLERANCE = 1e-3
"""Relative, from the wave to F0: saliences that differ within their tolerance move F0 by a cent or so."""
_DOUBT = 2 * _SALIENCE_TOLERANCE
"""Where the two most salient pitches, or the greatest salience and the threshold, are no further apart, the
last bits of the arithmetic decide."""
_RULE_SEED = 11
_DITHER_CENTS = 20.0
_TRAINED = {
    "fcpe": BaseModelName.FCPE,
    "crepe_tiny": BaseModelName.CREPE_TINY,
    "crepe_full": BaseModelName.CREPE,
}
"""By the beginning of the names of the arrays that they made."""
NEURAL_FILES = "f0_neural_real_weights*.npz"


def _arrays_of(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def check_coarse(path: Path) -> Iterable[Finding | Deviation]:
    """`f0_coarse.npz`: bins of F0."""
    arrays = _arrays_of(path)
    yield equal("coarse", pitch_bins(arrays["f0"]), arrays["coarse"])


def check_praat(path: Path) -> Iterable[Finding | Deviation]:
    """`f0_pm.npz`: Praat's F0, raw and with the unvoiced frames filled."""
    arrays = _arrays_of(path)
    raw = Praat()(arrays["wave"])
    yield equal("p_len", len(raw), int(arrays["p_len"]))
    yield absolute("f0_raw", raw, arrays["f0_raw"], _F0_TOLERANCE_HERTZ)
    voiced = raw > 0
    yield absolute("f0_filled where voiced", raw[voiced], arrays["f0_filled"][voiced], _F0_TOLERANCE_HERTZ)
    yield Deviation("f0_filled elsewhere", "unvoiced frames stay 0 Hz, as the voices that are around learnt")


def check_rmvpe_decode(path: Path) -> Iterable[Finding | Deviation]:
    """`rmvpe_decode.npz`: `f0_thr003` and the like from one salience; the digits are a threshold of 0.03."""
    arrays = _arrays_of(path)
    for name in sorted(name for name in arrays if name.startswith("f0_thr")):
        digits = name.removeprefix("f0_thr")
        f0 = rmvpe.decode_salience(arrays["salience"], float(f"{digits[0]}.{digits[1:]}"))
        yield relative(name, f0, arrays[name], _DECODED_TOLERANCE)


def check_rmvpe(path: Path) -> Iterable[Finding | Deviation]:
    """`rmvpe_<name>.npz`: through the network in `models/rmvpe_<name>*.pt`."""
    models = sorted((path.parent.parent / "models").glob(f"{path.stem}*.pt"))
    if len(models) != 1:
        raise InvalidConfiguration(
            f"{path} is about one network {path.stem}*.pt in the folder `models` beside its own, where there "
            f"are {len(models)}; bring the file, or remove the others"
        )
    yield from _check_network(RMVPE(_stored(models[0]), _CPU), _arrays_of(path))


def check_rmvpe_rule(path: Path) -> Iterable[Finding | Deviation]:
    """`rmvpe_<name>_rule.npz`: the official size by the rule; the wave may be that of `rmvpe_small.npz`."""
    arrays = _arrays_of(path)
    shapes = {name: tuple(t.shape) for name, t in RMVPENetwork(Sizes()).state_dict().items()}
    tensors = {name: fill(name, shape, _RULE_SEED) for name, shape in shapes.items()}
    known = [*_digests(tensors)]
    tensors["fc.1.weight"] *= 3
    tensors["fc.1.bias"] -= 3
    yield from _check_listing(path, arrays, shapes, [*known, *_digests(tensors)])
    if "wave" not in arrays:
        small = _arrays_of(path.with_name("rmvpe_small.npz"))
        arrays = {"wave": small["wave"], "mel": small["mel"], **arrays}
    yield from _check_network(RMVPE(BaseModel("", tensors), _CPU), arrays)


def _check_network(extractor: RMVPE, arrays: Mapping[str, np.ndarray]) -> Iterable[Finding | Deviation]:
    if "salience" not in arrays and not _tracks(arrays):
        raise ValueError(f"no salience and no F0 to compare with among {', '.join(arrays)}")
    wave = arrays["wave"]
    mel = extractor.log_mel(wave, 0, len(wave) // HOP + 1)
    salience = extractor.salience(mel)
    if "mel" in arrays:
        yield absolute("mel", mel.numpy(), arrays["mel"], _MEL_TOLERANCE)
    if "mel" in arrays and "salience" in arrays:
        of_theirs = extractor.salience(torch.from_numpy(arrays["mel"]).float())
        title = "salience of the original's mel"
        yield absolute(title, of_theirs, arrays["salience"], _SALIENCE_TOLERANCE)
    if "salience" in arrays:
        yield absolute("salience of the wave", salience, arrays["salience"], _SALIENCE_TOLERANCE)
    for name, threshold in _tracks(arrays).items():
        theirs = arrays[name]
        if "salience" in arrays:
            decoded = rmvpe.decode_salience(arrays["salience"], threshold)
            yield relative(f"{name} of the original's salience", decoded, theirs, _DECODED_TOLERANCE)
        certain = _certain(arrays.get("salience", salience), threshold)
        ours = rmvpe.decode_salience(salience, threshold)
        if ours.shape == theirs.shape:
            ours, theirs = ours[certain], theirs[certain]
        title = f"{name} of the wave, {len(theirs)} of {len(certain)} frames without doubt"
        yield relative(title, ours, theirs, _CHAIN_TOLERANCE)


def _tracks(arrays: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Voicing thresholds of the F0 in a file: the usual one, and `f0_thr` with what `thr` says."""
    tracks = {"f0": rmvpe.VOICING_THRESHOLD}
    if "thr" in arrays:
        tracks["f0_thr"] = float(arrays["thr"])
    return {name: threshold for name, threshold in tracks.items() if name in arrays}


def _certain(salience: np.ndarray, threshold: float) -> np.ndarray:
    second, first = np.sort(salience, axis=1)[:, -2:].T
    voiced = (first - second > _DOUBT) & (first > threshold + _DOUBT)
    return np.asarray(voiced | (first < threshold - _DOUBT))


def _check_listing(
    path: Path, arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]], digests: list[str]
) -> Iterable[Finding | Deviation]:
    """The texts of a file: names of weights, all or some in any order, or digests of them."""
    for label, array in arrays.items():
        if array.dtype.kind != "U":
            continue
        texts = set(array.flat)
        if all(re.fullmatch("[0-9a-f]{64}", text) for text in texts):
            if texts <= set(digests):
                yield Finding(f"{label} (of the weights)", 0.0, 0.0)
            else:
                yield not_compared(path, label)
        elif texts & shapes.keys():
            yield equal(f"{label}, {len(texts)} names of {len(shapes)}", sorted(texts - shapes.keys()), [])


def _digests(tensors: Mapping[str, torch.Tensor]) -> Iterable[str]:
    """Of each tensor's bytes, and of all together in the order of the network and of their names."""
    parts = {name: tensor.numpy().tobytes() for name, tensor in tensors.items()}
    yield from (hashlib.sha256(part).hexdigest() for part in parts.values())
    counters = tuple(name for name in parts if name.endswith("num_batches_tracked"))
    for left_out in ((), counters):
        for order in (parts, sorted(parts)):
            whole = hashlib.sha256()
            for name in order:
                if name not in left_out:
                    whole.update(parts[name])
            yield whole.hexdigest()


def _stored(path: Path) -> BaseModel:
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    return BaseModel("", {name: tensor.float() for name, tensor in tensors.items()})


def check_rmvpe_model(path: Path) -> Iterable[Finding | Deviation]:
    """`models/rmvpe_*.pt`: loads strictly, so that all names and shapes are the official ones."""
    RMVPE(_stored(path), _CPU)
    yield Finding("names and shapes", 0.0, 0.0)


def check_neural(path: Path) -> Iterable[Finding | Deviation]:
    """`f0_neural_real_weights.npz`: the trained FCPE and CREPE, on the wave of `f0_pm.npz` if it says so.

    Raises `InvalidConfiguration` where the folder of base models does not have them.
    """
    arrays = _arrays_of(path)
    wave = arrays["wave"] if "wave" in arrays else _arrays_of(path.with_name("f0_pm.npz"))["wave"]
    for prefix, base_model in _TRAINED.items():
        if f"{prefix}_f0" not in arrays:
            continue
        if base_model is BaseModelName.FCPE:
            yield from _check_fcpe(wave, arrays)
        else:
            yield from _check_crepe(base_model, prefix, wave, arrays)


def trained_networks(path: Path) -> list[BaseModelName]:
    """Base models that `check_neural` needs for a file; none for a file that cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return [base_model for prefix, base_model in _TRAINED.items() if f"{prefix}_f0" in arrays]
    except (OSError, ValueError, zipfile.BadZipFile):
        return []


def _check_fcpe(wave: np.ndarray, arrays: Mapping[str, np.ndarray]) -> Iterable[Finding]:
    extractor = FCPE(open_base_model(BaseModelName.FCPE), _CPU)
    mel = extractor.log_mel(wave, 0, len(wave) // HOP)
    stored = arrays["fcpe_mel"]
    # Half precision keeps eleven bits.
    rounding = float(np.abs(stored).max()) * 2.0**-11 if stored.dtype == np.float16 else 0.0
    yield absolute("fcpe_mel", mel.T.numpy(), stored, _MEL_TOLERANCE + rounding)
    if "fcpe_latent_absmean" in arrays:
        salience = extractor.salience(mel).abs().mean()
        yield relative("fcpe_latent_absmean", salience, arrays["fcpe_latent_absmean"], 1e-3)
    f0 = extractor.hertz(mel)
    yield absolute("fcpe_f0", f0, arrays["fcpe_f0"], _F0_TOLERANCE_HERTZ)


def _check_crepe(
    base_model: BaseModelName, prefix: str, wave: np.ndarray, arrays: Mapping[str, np.ndarray]
) -> Iterable[Finding | Deviation]:
    method = PitchMethod.CREPE if base_model is BaseModelName.CREPE else PitchMethod.CREPE_TINY
    salience = CREPE(method, open_base_model(base_model), _CPU).salience(wave, 0, len(wave) // HOP + 1)
    path = crepe.most_likely_path(salience)
    periodicity = crepe.periodicity_on(salience, path)
    yield absolute(f"{prefix}_pd", periodicity, arrays[f"{prefix}_pd"], _SALIENCE_TOLERANCE)
    hertz = crepe.pitch_hertz(path)
    yield _cents(f"{prefix}_raw from our path's pitches, cents", hertz, arrays[f"{prefix}_raw"])
    mean, median = crepe.smoothed(hertz, periodicity)
    voiced = median >= crepe.PERIODICITY_THRESHOLD
    theirs = arrays[f"{prefix}_f0"]
    yield equal(f"{prefix}_f0, which frames are voiced", voiced, theirs > 0)
    yield _cents(f"{prefix}_f0 from our path's pitches, cents", mean[voiced], theirs[voiced])
    yield Deviation(
        f"{prefix}: the 20 cents between pitches",
        "the original adds random noise of up to 20 cents to its pitches; we interpolate between them",
    )


def _cents(name: str, ours: np.ndarray, theirs: np.ndarray) -> Finding:
    return absolute(name, 1200 * np.log2(ours), 1200 * np.log2(theirs), _DITHER_CENTS)


CHECKS: Mapping[str, Check] = {
    "f0_coarse*.npz": check_coarse,
    "f0_pm*.npz": check_praat,
    NEURAL_FILES: check_neural,
    "rmvpe_decode*.npz": check_rmvpe_decode,
    "rmvpe_*_rule.npz": check_rmvpe_rule,
    "rmvpe_*.npz": check_rmvpe,
    "rmvpe_*.pt": check_rmvpe_model,
}
