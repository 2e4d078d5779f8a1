"""The command line `rvc`: train voices, convert recordings with them, bring, pass on and mix voices.

Results go to standard output, as one JSON object with `--json`; progress and messages go to standard error.
An expected error is one line and an exit code of `rvc.contract.ExitCode`.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import NoReturn, TypeVar

import msgspec

from rvc.contract import (
    CONTENT_PRODUCER_VARIABLE,
    DEFAULT_CONTENT_PRODUCER,
    Architecture,
    AudibleLabel,
    AudioFormat,
    ContentEncoder,
    ConversionParameters,
    Device,
    ExitCode,
    PitchMethod,
    Precision,
    TrainingSettings,
)
from rvc.errors import InvalidConfiguration, RvcError
from rvc.exit_codes import exit_code
from rvc.pod import limit_threads
from rvc.store.failures import from_os_error

_TRAINING = "rvc.cli_training"
_VOICES = "rvc.cli_voices"
_Choice = TypeVar("_Choice", bound=StrEnum)


class _Parser(argparse.ArgumentParser):
    """argparse with our exit code for what cannot be understood."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(ExitCode.CONFIGURATION_INVALID, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    chosen = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    limit_threads()
    # After `limit_threads`: numerical libraries read the number of threads when they are imported.
    commands = importlib.import_module(chosen.module)
    try:
        getattr(commands, chosen.run)(chosen)
    except RvcError as error:
        return _tell(error)
    except OSError as error:
        return _tell(from_os_error(error, error.filename or chosen.run))
    except KeyboardInterrupt:
        sys.stderr.write("rvc: interrupted\n")
        return ExitCode.TERMINATED
    return ExitCode.DONE


def _tell(error: RvcError) -> ExitCode:
    message = " ".join(str(error).split())
    sys.stderr.write(f"rvc: {message} ({error.reason})\n")
    return exit_code(error)


def _parser() -> _Parser:
    parser = _Parser(
        prog="rvc", description="Learn a voice from recordings and speak other recordings with it."
    )
    parser.set_defaults(module="rvc.cli_commands")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    _add_train(commands.add_parser("train", help="learn a voice from a folder of recordings"))
    _add_inspect(commands.add_parser("inspect", help="say what recordings are good for"))
    _add_convert(commands.add_parser("convert", help="speak recordings with a voice"))
    _add_evaluate(commands.add_parser("evaluate", help="measure how good a voice is"))
    info = commands.add_parser("info", help="what a voice is and what it learnt from")
    info.set_defaults(run="info", module=_VOICES)
    info.add_argument("voice", type=Path, help="folder of a voice, or a model file of RVC programs (.pth)")
    _add_index(info)
    _add_import(commands.add_parser("import", help="make a voice of the files of RVC programs"))
    _add_export(commands.add_parser("export", help="write a voice as RVC programs do"))
    _add_merge(commands.add_parser("merge", help="mix two voices into one"))
    parity = commands.add_parser("parity", help="hold our numbers against those of the original RVC")
    parity.set_defaults(run="parity", module="rvc.cli_parity")
    parity.add_argument(
        "folder", type=Path, help="fixtures: data/ and models/; networks they need are downloaded"
    )
    _add_fetch_base(
        commands.add_parser("fetch-base", help="download the pretrained networks that voices build on")
    )
    _add_add_base(commands.add_parser("add-base", help="bring pretrained networks that you have as files"))
    for command in commands.choices.values():
        command.add_argument("--json", action="store_true", help="print the result as one JSON object")
    return parser


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run="import_", module=_VOICES)
    parser.add_argument("model", type=Path, help="a .pth: of a voice, or a checkpoint of training (G_*.pth)")
    parser.add_argument("voice", type=Path, help="new folder to write the voice to")
    parser.add_argument("--name", help="name of the voice (the folder's)")
    _add_index(parser)


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run="export", module=_VOICES)
    parser.add_argument("voice", type=Path, help="folder of a voice of architecture RVC2")
    parser.add_argument("folder", type=Path, nargs="?", default=Path(), help="where the files go (here)")
    parser.add_argument("--name", help="of the files (the voice's)")


def _add_merge(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run="merge", module=_VOICES)
    parser.add_argument("first", type=Path, metavar="A", help="folder of a voice, or a .pth")
    parser.add_argument("second", type=Path, metavar="B", help="another voice of the same kind")
    parser.add_argument("output", type=Path, help="new folder for the voice, or a .pth to write")
    parser.add_argument("--share", type=float, default=0.5, help="how much of A there is in it, 0 to 1 (0.5)")
    parser.add_argument("--name", help="name of the voice (the output's)")
    _add_index(parser)


def _add_index(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--index", type=Path, metavar="FILE", help="the .index that goes with a .pth")


_DOWNLOADABLE = (
    "contentvec, rmvpe, fcpe, crepe, crepe-tiny, whisper-base-encoder, rvc2-v2-f0-40k-generator, "
    "rvc2-v2-f0-40k-discriminator and those of 32k and 48k"
)


def _add_fetch_base(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run="fetch_base")
    parser.add_argument(
        "folder", type=Path, nargs="?", help="default: where the other commands look for them"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        help=f"these and no others: {_DOWNLOADABLE}; * stands for anything (what Light voices need)",
    )
    parser.add_argument(
        "--to",
        metavar="URI",
        help="then send all of the folder there, for training.baseModelsUri: oss://bucket/path/ and the like",
    )


def _add_add_base(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run="add_base")
    parser.add_argument(
        "files",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="hubert_base.pt, pytorch_model.bin, rmvpe.pt, f0G40k.pth and the like",
    )
    parser.add_argument(
        "--as", dest="name", metavar="NAME", help="which one it is, if the file does not tell"
    )
    parser.add_argument("--base-models", type=Path, metavar="FOLDER", help="see `rvc fetch-base`")


def _add_train(parser: argparse.ArgumentParser) -> None:
    defaults = TrainingSettings(architecture=Architecture.LIGHT, epochs=20, batch_size=16)
    parser.set_defaults(run="train", module=_TRAINING)
    _add_dataset(parser)
    parser.add_argument("voice", type=Path, help="folder to write the voice to")
    parser.add_argument("--name", help="name of the voice (the folder's)")
    parser.add_argument("--work", type=Path, help="folder for features and checkpoints (VOICE.work)")
    _add_choice(parser, "--architecture", Architecture, defaults.architecture)
    parser.add_argument("--sample-rate", type=int, default=defaults.sample_rate_hertz, metavar="HERTZ")
    _add_choice(parser, "--content-encoder", ContentEncoder, defaults.content_encoder)
    _add_choice(parser, "--pitch-method", PitchMethod, defaults.pitch_method)
    parser.add_argument("--epochs", type=_at_least_one, default=defaults.epochs)
    parser.add_argument("--batch-size", type=_at_least_one, default=defaults.batch_size)
    parser.add_argument(
        "--save-every", type=_at_least_one, default=defaults.save_every_epochs, metavar="EPOCHS"
    )
    parser.add_argument("--seed", type=int, default=defaults.seed)
    _add_choice(parser, "--precision", Precision, defaults.precision)
    parser.add_argument("--early-stopping", type=_at_least_one, default=0, metavar="EPOCHS",
                        help="stop when held-out recordings sound no better for so long")  # fmt: skip
    parser.add_argument("--batch-parts", type=_at_least_one, default=1, metavar="N",
                        help="compute a batch in N parts, for less memory; same voice")  # fmt: skip
    parser.add_argument("--gradient-checkpointing", action="store_true", help="less memory, more time")
    parser.add_argument("--tensor-board", action="store_true", help="write event files into VOICE")
    _add_machine(parser)


def _add_inspect(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run="inspect", module=_TRAINING)
    _add_dataset(parser)
    _add_choice(parser, "--pitch-method", PitchMethod, PitchMethod.AUTO)
    _add_machine(parser)


def _add_dataset(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", type=Path, help="folder of recordings, with its subfolders")
    parser.add_argument("--multi-speaker", action="store_true", help="each folder in DATASET is a speaker")


def _add_convert(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run="convert")
    parser.add_argument("voice", type=Path, help="folder of a voice, or a model file of RVC programs (.pth)")
    _add_index(parser)
    parser.add_argument("input", type=Path, help="a recording, or a folder of recordings")
    parser.add_argument("output", type=Path, help="the converted file; a folder if the input is one")
    _add_choice(parser, "--format", AudioFormat, None, "by the name of the output, else WAV")
    parser.add_argument("--producer", metavar="NAME",
                        help="who made the files, as their AIGC labels say "
                        f"({CONTENT_PRODUCER_VARIABLE}, else {DEFAULT_CONTENT_PRODUCER})")  # fmt: skip
    _add_choice(parser, "--audible-label", AudibleLabel, AudibleLabel.NONE)
    parser.add_argument("--label-prompt", type=Path, metavar="FILE",
                        help="recording of the audible label (the Morse rhythm of AI)")  # fmt: skip
    _add_conversion(parser)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run="evaluate", module="rvc.cli_evaluate")
    parser.add_argument("voice", type=Path, help="folder of a voice, or a model file of RVC programs (.pth)")
    parser.add_argument(
        "recordings",
        type=Path,
        nargs="?",
        help="folder of recordings to convert, or one, with what is said in a .txt beside each where it is "
        "known (those of --target, which the voice then says again)",
    )
    parser.add_argument(
        "--target", type=Path, metavar="FOLDER", help="recordings of the speaker that were not trained on"
    )
    parser.add_argument("--language", default="en", metavar="CODE", help="spoken in the recordings (en)")
    parser.add_argument("--recogniser", type=Path, metavar="FOLDER", help="Whisper model of CTranslate2")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the converted files here")
    _add_index(parser)
    _add_conversion(parser)


def _add_conversion(parser: argparse.ArgumentParser) -> None:
    defaults = ConversionParameters()
    parser.add_argument("--transpose", type=int, default=defaults.transpose_semitones, metavar="SEMITONES")
    parser.add_argument("--automatic-transpose", action="store_true",
                        help="first bring the median F0 of each recording to the voice's own")  # fmt: skip
    parser.add_argument("--formant-shift", type=int, default=defaults.formant_shift_cents, metavar="CENTS")
    _add_choice(parser, "--pitch-method", PitchMethod, defaults.pitch_method)
    for option, default, what in (
        (
            "--index-rate",
            defaults.index_rate_percent,
            "share of content retrieved from the voice's recordings",
        ),
        ("--protect", defaults.protect_percent, "share of it in unvoiced sounds; 50: all"),
    ):
        parser.add_argument(option, type=int, default=default, metavar="PERCENT", help=f"{what} ({default})")
    parser.add_argument("--rms-mix-rate", type=int, metavar="PERCENT",
                        help="0: loudness of the source, 100: of the voice (RVC2 25, Light 100)")  # fmt: skip
    parser.add_argument("--filter-radius", type=int, default=defaults.filter_radius, metavar="FRAMES",
                        help="width of the median over F0, 3 or more; less: none")  # fmt: skip
    parser.add_argument("--resample", type=int, default=defaults.resample_hertz, metavar="HERTZ",
                        help="sample rate of the output; 0: the voice's own")  # fmt: skip
    parser.add_argument("--speaker", type=int, default=defaults.speaker_id)
    _add_machine(parser)


def _add_machine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base-models", type=Path, metavar="FOLDER", help="see `rvc fetch-base`")
    _add_choice(parser, "--device", Device, Device.CPU)


def _add_choice(
    parser: argparse.ArgumentParser,
    option: str,
    kind: type[_Choice],
    default: _Choice | None,
    default_text: str = "",
) -> None:
    names = ", ".join(kind)
    shown = default_text or default
    parser.add_argument(option, type=_named(kind), default=default, metavar="NAME", help=f"{names} ({shown})")


def _named(kind: type[_Choice]) -> Callable[[str], _Choice]:
    def parse(text: str) -> _Choice:
        for value in kind:
            if value.lower() == text.lower():
                return value
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(kind)}")

    return parse


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def conversion_parameters(chosen: argparse.Namespace) -> ConversionParameters:
    """The parameters of a command line; raises InvalidConfiguration where one is out of bounds."""
    fields = {
        "transposeSemitones": chosen.transpose,
        "automaticTranspose": chosen.automatic_transpose,
        "formantShiftCents": chosen.formant_shift,
        "pitchMethod": chosen.pitch_method,
        "indexRatePercent": chosen.index_rate,
        "protectPercent": chosen.protect,
        "rmsMixRatePercent": chosen.rms_mix_rate,
        "filterRadius": chosen.filter_radius,
        "resampleHertz": chosen.resample,
        "speakerId": chosen.speaker,
    }
    try:
        return msgspec.convert(fields, ConversionParameters)
    except msgspec.ValidationError as error:
        raise InvalidConfiguration(f"{error}; see `rvc convert --help`") from error
