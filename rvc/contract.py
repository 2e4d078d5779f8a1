"""What the operator, the trainer and the server say to each other, as data.

The one module of `rvc` that `rvc_operator` may import: no torch, no audio, only names, numbers and JSON
shapes. Keys are camelCase, unknown fields are refused where we read what we wrote ourselves (a mismatch of
image versions must be loud), and every shape is frozen.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from rvc.choices import Architecture as Architecture
from rvc.choices import AudibleLabel as AudibleLabel
from rvc.choices import AudioFormat as AudioFormat
from rvc.choices import ContentEncoder as ContentEncoder
from rvc.choices import Device as Device
from rvc.choices import PitchMethod as PitchMethod
from rvc.choices import Precision as Precision

API_GROUP = "voice.rvc.dev"
"""Prefix of our labels and annotations, too."""

TRAINER_PORT = 8080
"""The trainer serves `/progress`, `/metrics` and `/healthz` here."""
SERVER_PORT = 8080
"""The inference server's API."""

TRAINING_REQUEST_VARIABLE = "RVC_TRAINING_REQUEST"
"""Environment variable with the JSON of a `TrainingRequest`."""
CLEAN_UP_REQUEST_VARIABLE = "RVC_CLEAN_UP_REQUEST"
"""Environment variable with the JSON of a `CleanUpRequest`."""
SERVED_VOICE_VARIABLE = "RVC_SERVED_VOICE"
"""Environment variable with the JSON of the `VoiceReference` that the server loads before it is ready."""
CLAIMS_FOLDER = "/mnt/claims"
"""`pvc://claim/path` is the file `/mnt/claims/claim/path` in our pods; `RVC_CLAIMS_FOLDER` moves it."""
CLAIMS_FOLDER_VARIABLE = "RVC_CLAIMS_FOLDER"
OSS_SECRET_FOLDER = "/mnt/oss-secret"
"""Where the Secret of `spec.storage.secretRef` is mounted in our pods."""
OSS_SECRET_FOLDER_VARIABLE = "RVC_OSS_SECRET_FOLDER"
"""Environment variable with the folder where a Secret is mounted: files akId and akSecret, as Alibaba's CSI
names them, and securityToken for keys that expire."""
TOKEN_FOLDER = "/mnt/token"
"""Where the Secret of `spec.serving.tokenSecretRef` is mounted in servers; its key is the file `token`."""
TOKEN_FILE_VARIABLE = "RVC_TOKEN_FILE"
"""Environment variable with the file of the token that direct conversions must carry; without it there are
none."""
BASE_MODELS_FOLDER_VARIABLE = "RVC_BASE_MODELS"
"""Folder of base models (content encoders, pitch networks); the images set it to the one they contain."""
TERMINATION_MESSAGE_PATH = "/dev/termination-log"
TERMINATION_MESSAGE_LIMIT_BYTES = 4096
RUN_AS_USER = 10001
"""User and group of all our containers."""


class ExitCode(IntEnum):
    """How a training attempt ended; the operator decides on a retry by it."""

    DONE = 0
    INTERNAL_ERROR = 1
    """A defect of ours (Python's own code for an uncaught exception). Retried."""
    DATASET_INVALID = 10
    """Final: the recordings cannot be learnt from."""
    CONFIGURATION_INVALID = 11
    """Final: the request asks for what there is not."""
    PERMISSION_DENIED = 12
    """Retried with a long back-off: credentials may be repaired."""
    STORE_UNAVAILABLE = 13
    """Retried."""
    ACCELERATOR_ERROR = 14
    """Retried."""
    TERMINATED = 143
    """Ended by SIGTERM after saving a checkpoint; costs no attempt."""
    KILLED = 137
    """By the kernel or the kubelet, most often out of memory."""


ACCELERATOR_OUT_OF_MEMORY = "AcceleratorOutOfMemory"
"""Reason of a `TrainingResult`: a smaller batch may do what this one could not."""


class Stage(StrEnum):
    """What a training attempt is busy with, in order."""

    FETCHING = "Fetching"
    PREPARING = "Preparing"
    EXTRACTING_FEATURES = "ExtractingFeatures"
    TRAINING = "Training"
    INDEXING = "Indexing"
    EVALUATING = "Evaluating"
    PUBLISHING = "Publishing"
    DONE = "Done"


DEFAULT_CONTENT_PRODUCER = "rvc-operator"
"""Who made a converted file, as its label says, where nobody says who answers for it."""
CONTENT_PRODUCER_VARIABLE = "RVC_CONTENT_PRODUCER"
"""Environment variable of the operator, and of `rvc convert`, that says who does."""
LONGEST_PROMPT_SECONDS = 10
"""Of a recording of the audible label."""
LONGEST_LINK_SECONDS = 7 * 24 * 3600
"""The longest life of a presigned link to an object."""


class _Json(Struct, frozen=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True):
    pass


class Metric(_Json, frozen=True):
    """One named figure; the value is text so that no float enters the Kubernetes API."""

    name: str
    value: str


class ObjectKey(_Json, frozen=True):
    """Namespace and name of a Kubernetes object, for logs, metrics and manifests."""

    namespace: str
    name: str


class StoreSettings(_Json, frozen=True):
    """How to reach the object store; credentials come from the pod's environment, never from here."""

    endpoint: str = ""
    region: str = ""


class TrainingSettings(_Json, frozen=True):
    """`spec.training`, as far as the trainer is concerned."""

    architecture: Architecture = Architecture.RVC2
    sample_rate_hertz: int = 40000
    content_encoder: ContentEncoder = ContentEncoder.AUTO
    pitch_method: PitchMethod = PitchMethod.AUTO
    epochs: Annotated[int, Meta(ge=1)] = 200
    batch_size: Annotated[int, Meta(ge=1)] = 8
    batch_parts: Annotated[int, Meta(ge=1)] = 1
    """Compute a batch in so many parts, one after the other, for less memory: what is learnt is the same."""
    save_every_epochs: Annotated[int, Meta(ge=1)] = 10
    seed: int = 0
    precision: Precision = Precision.AUTO
    multi_speaker: bool = False
    """Each folder in the dataset's folder is a speaker, counted from 0 in the order of their names."""
    early_stopping_epochs: Annotated[int, Meta(ge=0)] = 0
    """Stop when the held-out recordings sounded no better for so many epochs, and keep the best; 0: never."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them: for cards with little memory."""
    tensor_board: bool = False
    """Write event files for TensorBoard into the voice's folder."""
    base_models_uri: str = ""


class Consent(_Json, frozen=True):
    """The speaker's consent, kept in the manifest of the voice."""

    statement: str = ""
    reference: str = ""


class ImportSource(_Json, frozen=True):
    """A voice that was trained elsewhere, in the files of the RVC community."""

    model_uri: str
    """Of the `.pth`."""
    index_uri: str = ""
    """Of the `.index`; empty for none."""


class TrainingRequest(_Json, frozen=True, kw_only=True):
    """Everything one training attempt needs to know. Exactly one of `dataset_uri` and `import_` is set."""

    voice: ObjectKey
    revision: str
    dataset_uri: str = ""
    """Recordings to learn the voice from."""
    import_: ImportSource | None = msgspec.field(default=None, name="import")
    """A voice to take over; all that is said of training is then without effect."""
    artifact_uri: str
    """Prefix of the published voice, ends in `/`; checkpoints live below it in `checkpoints/`."""
    attempt: int = 1
    training: TrainingSettings = TrainingSettings()
    device: Device = Device.CPU
    accelerators: Annotated[int, Meta(ge=1)] = 1
    """How many cards the pod has; each gets a process, and they train together."""
    store: StoreSettings = StoreSettings()
    consent: Consent = Consent()

    def __post_init__(self) -> None:
        if bool(self.dataset_uri) == (self.import_ is not None):
            raise ValueError("exactly one of datasetUri and import must be set")


class Progress(_Json, frozen=True):
    """Body of the trainer's `GET /progress`."""

    stage: Stage
    attempt: int = 1
    progress_percentage: Annotated[int, Meta(ge=0, le=100)] = 0
    epoch: int = 0
    total_epochs: int = 0
    estimated_remaining_seconds: int | None = None
    metrics: tuple[Metric, ...] = ()


class TrainingResult(_Json, frozen=True):
    """The trainer's termination message; `reason` and `message` are set when the attempt failed."""

    artifact_uri: str = ""
    manifest_digest: str = ""
    """`sha256:` and 64 hex digits, of the manifest's bytes."""
    size_bytes: int = 0
    metrics: tuple[Metric, ...] = ()
    reason: str = ""
    message: str = ""


class CleanUpRequest(_Json, frozen=True):
    """What of a deleted voice is to go: everything below `uri`, which ends in `/`."""

    voice: ObjectKey
    uri: str
    store: StoreSettings = StoreSettings()


class VoiceReference(_Json, frozen=True):
    """A published voice, exactly."""

    uri: str
    """Prefix of the voice's files, ends in `/`."""
    manifest_digest: str
    revision: str
    device: Device = Device.CPU
    store: StoreSettings = StoreSettings()
    base_models_uri: str = ""
    """Folder of base models to speak with; empty for those of the image."""


class ConversionParameters(_Json, frozen=True):
    """`spec.parameters` of a Conversion; the defaults are those of the original WebUI."""

    transpose_semitones: Annotated[int, Meta(ge=-36, le=36)] = 0
    automatic_transpose: bool = False
    """First bring the median F0 of the recording to the voice's own, in whole semitones; the transposition
    above comes on top."""
    formant_shift_cents: Annotated[int, Meta(ge=-1200, le=1200)] = 0
    pitch_method: PitchMethod = PitchMethod.AUTO
    index_rate_percent: Annotated[int, Meta(ge=0, le=100)] = 75
    protect_percent: Annotated[int, Meta(ge=0, le=50)] = 33
    rms_mix_rate_percent: Annotated[int, Meta(ge=0, le=100)] | None = None
    """None: what suits the voice's architecture."""
    filter_radius: Annotated[int, Meta(ge=0, le=7)] = 3
    resample_hertz: Annotated[int, Meta(ge=0, le=192000)] = 0
    """0 keeps the voice's own rate."""
    speaker_id: Annotated[int, Meta(ge=0, le=108)] = 0


class ConversionInput(_Json, frozen=True):
    """Exactly one of the two; full URIs."""

    object: str = ""
    prefix: str = ""


class ConversionOutput(_Json, frozen=True):
    """Where converted files go; `prefix` ends in `/`."""

    prefix: str
    format: AudioFormat = AudioFormat.WAV
    audible_label: AudibleLabel = AudibleLabel.NONE
    audible_label_prompt: str = ""
    """URI of a recording of the audible label; empty for the rhythm of the standard."""
    signed_links_seconds: Annotated[int, Meta(ge=0, le=LONGEST_LINK_SECONDS)] = 0
    """How long the links in the list of results are good for; 0 for none."""


MAX_SHARDS = 32


class Shard(_Json, frozen=True):
    """One share of a conversion's files: every `count`-th of the frozen list, from the `index`-th on."""

    index: Annotated[int, Meta(ge=0)] = 0
    count: Annotated[int, Meta(ge=1, le=MAX_SHARDS)] = 1

    def __post_init__(self) -> None:
        if self.index >= self.count:
            raise ValueError("index must be below count")


WHOLE = Shard()
"""The only shard of a conversion that is not split."""
SHARD_PARAMETER = "shard"
"""Query parameter with the index of a shard; left out, 0."""


class ConversionRequest(_Json, frozen=True):
    """Body of `PUT /v1/conversions/<uid>?shard=<index>`; the same request again is no new work."""

    conversion: ObjectKey
    voice: VoiceReference
    input: ConversionInput
    output: ConversionOutput
    parameters: ConversionParameters = ConversionParameters()
    content_producer: str = DEFAULT_CONTENT_PRODUCER
    """Who made the outputs, as their labels say."""
    shard: Shard = WHOLE
    """What of it this server does; by default, all."""


class ConversionState(StrEnum):
    """Life of a conversion inside a server."""

    QUEUED = "Queued"
    RUNNING = "Running"
    FINISHED = "Finished"
    """Every file has an outcome, good or bad."""
    FAILED = "Failed"
    """The conversion as a whole could not go on; see `reason`, and `retriable`."""


class FileCounts(_Json, frozen=True, omit_defaults=False):
    """Files by outcome: `total` is that of the whole conversion, the others are those of the shard."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0


class FileFailure(_Json, frozen=True):
    """Why one file was not converted."""

    key: str
    reason: str
    message: str


MAX_REPORTED_FAILURES = 10


class ConversionStatus(_Json, frozen=True):
    """Body of `GET /v1/conversions/<uid>?shard=<index>` and of the answer to `PUT`."""

    state: ConversionState
    files: FileCounts = FileCounts()
    failures: tuple[FileFailure, ...] = ()
    results_uri: str = ""
    reason: str = ""
    message: str = ""
    retriable: bool = False


def encode(value: Struct) -> str:
    """JSON text of one of the shapes above."""
    return msgspec.json.encode(value).decode()
