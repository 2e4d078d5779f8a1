"""VoiceModel: a voice that is learnt from recordings, or brought along, and then served.

The docstring under a field is its description in the CRD and in the reference. Rules stand beside the fields
they bind, as CEL and Python (see `rules`).
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, field

from rvc.contract import Architecture, ContentEncoder, PitchMethod, Precision

from .common import (
    VOICE_NAME_LIMIT,
    VOICE_NAME_PATTERN,
    Annotations,
    ApiStruct,
    Condition,
    Count,
    Digest,
    Failure,
    Label,
    Metadata,
    Metric,
    Name,
    Percentage,
    QualifiedName,
    Size,
    SpecStruct,
    Text,
    Time,
    Uri,
    Word,
    by_key,
)
from .podtemplate import PodTemplate
from .rules import InvalidSpec, decode, folder, rule
from .sources import Dataset, Import, Storage

CPU_MODEL = "CPU"
"""The `accelerator.model` that means none."""


class ServiceType(StrEnum):
    """How the server of a voice is reached."""

    CLUSTER_IP = "ClusterIP"
    LOAD_BALANCER = "LoadBalancer"


class DeletionPolicy(StrEnum):
    """What happens to the voice's files when the VoiceModel is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class Training(SpecStruct, frozen=True):
    """How the voice is learnt. A change of what shapes the model (all but tensorBoard, saveEveryEpochs,
    backoffLimit and the deadlines) trains a new revision."""

    architecture: Architecture = Architecture.RVC2
    """Network of the voice. RVC2 is the community's format and wants a GPU; Light learns in minutes on a
    CPU."""
    sample_rate_hertz: Literal[16000, 32000, 40000, 48000] = 40000
    """Sample rate of the voice's output. 16000 is for telephone recordings and for architecture Light
    only."""
    content_encoder: ContentEncoder = ContentEncoder.AUTO
    """Network that says what is spoken, not by whom; Auto is ContentVec768 for architecture RVC2 and
    Small for Light."""
    pitch_method: PitchMethod = PitchMethod.AUTO
    """Way to find the melody (F0) in the recordings; Auto is RMVPE where the base models have it, else
    FCPE."""
    epochs: Annotated[int, Meta(ge=1, le=10000)] = 200
    """How many times training goes through all recordings."""
    batch_size: Annotated[int, Meta(ge=1, le=512)] = 8
    """Pieces of audio that one training step learns from, on all GPUs together. Halved once if memory runs
    out."""
    save_every_epochs: Annotated[int, Meta(ge=1, le=10000)] = 10
    """Epochs between two checkpoints, and one after the last epoch; after an interruption, training resumes
    from the last one."""
    seed: Count = 0
    """Start of all random numbers; the same seed and recordings give the same training."""
    precision: Precision = Precision.AUTO
    """Number format of the arithmetic; Auto is BF16 where the hardware has it, else FP32."""
    multi_speaker: bool = False
    """True makes a speaker of each folder inside the dataset's folder; Conversions choose by speakerId, which
    counts from 0 in the order of the folders' names. Not for architecture Light."""
    early_stopping_epochs: Annotated[int, Meta(ge=0, le=10000)] = 0
    """Stop when recordings held out from training sounded no better for so many epochs, and publish the voice
    of the best one; 0 trains all epochs."""
    gradient_checkpointing: bool = False
    """True needs less GPU memory and more time."""
    tensor_board: bool = False
    """True adds event files for TensorBoard to the voice's files."""
    base_models_uri: Uri | None = None
    """Folder of base models for training and serving, of imported voices too, filled by `rvc fetch-base`;
    left out, the ones inside the images."""
    backoff_limit: Annotated[int, Meta(ge=0, le=20)] = 3
    """How many failed attempts are followed by another one. Disruptions, e.g. of a node, do not count."""
    active_deadline_seconds: Annotated[int, Meta(ge=60, le=2592000)] = 86400
    """Longest time that training may be at work in all, over its attempts; waiting for a queue, a node or the
    next attempt does not count."""
    pending_deadline_seconds: Annotated[int, Meta(ge=60, le=604800)] = 3600
    """Longest time that a pod may wait for a place, a GPU, an image or a secret before the attempt is given
    up."""

    names_a_folder = folder("baseModelsUri")

    @rule("!self.multiSpeaker || self.architecture != 'Light'", field="multiSpeaker")
    def speakers_fit_architecture(self) -> bool:
        """multiSpeaker is for architecture RVC2; Light learns one speaker"""
        return not self.multi_speaker or self.architecture is not Architecture.LIGHT

    @rule("self.sampleRateHertz != 16000 || self.architecture == 'Light'", field="sampleRateHertz")
    def rate_fits_architecture(self) -> bool:
        """16000 is for architecture Light only; RVC2 has 32000, 40000 and 48000"""
        return self.sample_rate_hertz != 16000 or self.architecture is Architecture.LIGHT


class Accelerator(SpecStruct, frozen=True):
    """The GPU of each pod. What is left out comes from the operator's configuration for the model."""

    model: Word = "P16EN"
    """Model of the GPU as the operator's configuration names it, or CPU for none."""
    count: Annotated[int, Meta(ge=1, le=16)] = 1
    """GPUs of a training pod; a serving pod has one."""
    compute_class: Word | None = None
    """Compute class of ACS: gpu or gpu-hpn; for model CPU general-purpose or performance."""
    qos: Word | None = None
    """Compute QoS of ACS: default, or best-effort (cheaper, may be taken away; not with gpu-hpn)."""
    driver_version: Word | None = None
    """Version of the GPU driver; must go with the SDK inside the images."""
    resource_name: QualifiedName | None = None
    """Name of the resource that stands for one GPU, e.g. alibabacloud.com/ppu or nvidia.com/gpu."""


class Service(SpecStruct, frozen=True):
    """The Kubernetes Service before the voice's servers."""

    type: ServiceType = ServiceType.CLUSTER_IP
    """ClusterIP is reached from inside the cluster only. LoadBalancer is public unless an annotation says
    otherwise."""
    annotations: Annotations = field(default_factory=dict)
    """Annotations of the Service, e.g. service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type:
    intranet."""


class SecretKey(SpecStruct, frozen=True):
    """One key of a Secret in the same namespace."""

    name: Name
    """Name of the Secret, in the same namespace."""
    key: Annotated[str, Meta(min_length=1, max_length=253, pattern="^[-._a-zA-Z0-9]+$")] = "token"
    """Key in the Secret."""


class Serving(SpecStruct, frozen=True):
    """The servers that speak with the voice; they come with Conversions and go when idle."""

    min_replicas: Annotated[int, Meta(ge=0, le=32)] = 0
    """Servers that are kept even when there is nothing to convert."""
    max_replicas: Annotated[int, Meta(ge=1, le=32)] = 1
    """Servers that run at most."""
    idle_timeout_seconds: Annotated[int, Meta(ge=0, le=86400)] = 600
    """How long servers above minReplicas stay after the last Conversion."""
    conversions_per_replica: Annotated[int, Meta(ge=1, le=64)] = 4
    """Conversions, or shards of them, that one server is given at a time, before another one is started."""
    service: Service = Service()
    """The Kubernetes Service before the servers."""
    token_secret_ref: SecretKey | None = None
    """Secret with the token, of 16 characters or more, that lets people and programs convert directly with
    `POST /v1/convert` at the address in status.serving.url; needed for LoadBalancer. Left out, nobody does.
    Direct conversions keep no server: set minReplicas to 1 to be answered at any time."""

    @rule("self.minReplicas <= self.maxReplicas", field="minReplicas")
    def range_is_not_empty(self) -> bool:
        """minReplicas must not be greater than maxReplicas"""
        return self.min_replicas <= self.max_replicas

    @rule("self.service.type != 'LoadBalancer' || has(self.tokenSecretRef)", field="tokenSecretRef")
    def public_service_asks_for_a_token(self) -> bool:
        """a LoadBalancer may be public; set tokenSecretRef to a Secret with a token"""
        return self.service.type is not ServiceType.LOAD_BALANCER or self.token_secret_ref is not None


class Consent(SpecStruct, frozen=True):
    """The speaker's agreement to being cloned, kept with the voice."""

    statement: Text | None = None
    """What the speaker agreed to, in words."""
    reference: Text | None = None
    """Where the agreement is kept, e.g. the number of a contract."""


class VoiceModelSpec(SpecStruct, frozen=True, kw_only=True):
    """What is wanted: one voice, from recordings or from an existing model."""

    dataset: Dataset | None = None
    """Recordings to learn the voice from. Exactly one of dataset and import is set."""
    import_: Import | None = field(name="import", default=None)
    """An existing voice in the RVC community's format. Exactly one of dataset and import is set."""
    storage: Storage
    """Where the voice's files are kept."""
    training: Training = Training()
    """How the voice is learnt; but for baseModelsUri without effect on an imported voice. A change trains a
    new revision while the old one serves; only tensorBoard, saveEveryEpochs, backoffLimit and the two
    deadlines may change without."""
    accelerator: Accelerator = Accelerator()
    """The GPU of training and serving."""
    serving: Serving = Serving()
    """The servers that speak with the voice."""
    pod_template: PodTemplate = PodTemplate()
    """Additions to the pods of training and serving."""
    queue_name: Label | None = None
    """Kueue LocalQueue that training waits in."""
    suspend: bool = False
    """True stops training (after a checkpoint) and serving until it is false again."""
    deletion_policy: DeletionPolicy = DeletionPolicy.RETAIN
    """Retain keeps the voice's files when the VoiceModel is deleted, Delete removes them, every revision. A
    voice whose files cannot be removed goes after ten minutes all the same."""
    consent: Consent = Consent()
    """The speaker's agreement to being cloned."""

    @rule("has(self.dataset) != has(self.__import__)")
    def has_one_origin(self) -> bool:
        """set exactly one of dataset and import"""
        return (self.dataset is None) != (self.import_ is None)

    @rule(
        "has(self.storage.secretRef) || has(self.storage.serviceAccountName) || !("
        "has(self.dataset) && self.dataset.uri.startsWith('oss://') || "
        "has(self.__import__) && (self.__import__.modelUri.startsWith('oss://') || "
        "has(self.__import__.indexUri) && self.__import__.indexUri.startsWith('oss://')) || "
        "has(self.training.baseModelsUri) && self.training.baseModelsUri.startsWith('oss://'))",
        field="storage",
    )
    def can_read_its_sources(self) -> bool:
        """reading oss:// needs storage.secretRef (Secret with akId and akSecret) or
        storage.serviceAccountName (RRSA)"""
        return self.storage.has_credentials or not any(uri.startswith("oss://") for uri in self.source_uris)

    @property
    def source_uris(self) -> tuple[str, ...]:
        """Every URI that training reads from."""
        uris = (
            self.dataset and self.dataset.uri,
            self.import_ and self.import_.model_uri,
            self.import_ and self.import_.index_uri,
            self.training.base_models_uri,
        )
        return tuple(uri for uri in uris if uri)


class RevisionStatus(ApiStruct, frozen=True):
    """Revisions of the voice: short hashes of what shapes the model."""

    desired: Label | None = None
    """Revision that the spec asks for."""
    serving: Label | None = None
    """Revision that Conversions are spoken with."""


class TrainingStatus(ApiStruct, frozen=True):
    """How training goes."""

    revision: Label | None = None
    """Revision that is or was being trained; all that follows is about it, but for gpuSeconds."""
    stage: Annotated[str, Meta(max_length=63)] | None = None
    """What the trainer is busy with: Fetching, Preparing, ExtractingFeatures, Training, Indexing, Evaluating,
    Publishing or Done."""
    attempt: Count = 0
    """Number of the current attempt, from 1."""
    failures: Count = 0
    """Attempts that failed and count against backoffLimit."""
    progress_percentage: Percentage = 0
    """How much of training is done."""
    epoch: Count = 0
    """Epochs that are done."""
    total_epochs: Count = 0
    """Epochs to do."""
    estimated_remaining_seconds: Size | None = None
    """Time until training is done, as far as the trainer can tell."""
    last_updated_time: Time | None = None
    """When the trainer of the current attempt last said something new about itself."""
    start_time: Time | None = None
    """When the first attempt at this revision began."""
    completion_time: Time | None = None
    """When this revision was published, or given up."""
    job_name: Name | None = None
    """Job of the current attempt."""
    metrics: Annotated[tuple[Metric, ...], by_key("name", 32)] = ()
    """Losses while training, measures of quality afterwards."""
    gpu_seconds: Size = 0
    """Time that GPUs were held by attempts that have ended, at any revision, times their number."""
    gpus: Count = 0
    """GPUs that the current attempt asks for; 0 on the CPU."""
    active_since: Time | None = None
    """Since when the pod of the current attempt has been at work, and has held its GPUs; absent while it is
    not."""
    active_seconds: Size = 0
    """Time at work of the attempts that have ended, since training began at this revision or went on after
    suspension: what activeDeadlineSeconds is held against."""
    last_failure: Failure | None = None
    """Why the last attempt failed."""
    next_retry_time: Time | None = None
    """When the next attempt starts."""
    batch_parts: Annotated[int, Meta(ge=1)] | None = None
    """Parts in which each batch is computed, one after the other, since memory ran out."""


class Artifact(ApiStruct, frozen=True):
    """The published voice."""

    uri: Annotated[str, Meta(max_length=1280)]
    """Folder with the voice's files."""
    manifest_digest: Digest
    """Digest of manifest.json, which holds the digests of the other files."""
    size_bytes: Size = 0
    """Size of all files together."""


class ServingStatus(ApiStruct, frozen=True):
    """The servers of the voice."""

    replicas: Count = 0
    """Servers that are wanted now."""
    ready_replicas: Count = 0
    """Servers that are ready to convert."""
    active_conversions: Count = 0
    """Conversions that wait for the voice or are being converted."""
    last_used_time: Time | None = None
    """When the last Conversion ended."""
    url: Annotated[str, Meta(max_length=512)] | None = None
    """Address of the Service inside the cluster; nobody answers there while readyReplicas is 0."""


class VoiceModelStatus(ApiStruct, frozen=True):
    """What is; written by the operator only."""

    observed_generation: Annotated[int, Meta(ge=-1)] = -1
    """The metadata.generation that this status answers; -1 before the operator has seen the object."""
    conditions: Annotated[tuple[Condition, ...], by_key("type", 8)] = ()
    """Ready (some revision can be used), Trained (the wanted revision is published), Serving (a server is
    ready); Reconciling and Stalled only while true."""
    revision: RevisionStatus = RevisionStatus()
    """Revisions of the voice."""
    training: TrainingStatus = TrainingStatus()
    """How training goes."""
    artifact: Artifact | None = None
    """The published voice that is served."""
    serving: ServingStatus = ServingStatus()
    """The servers of the voice."""

    @classmethod
    def from_object(cls, data: dict[str, Any]) -> VoiceModelStatus:
        """Read `status` of a Kubernetes object, also of one whose spec is not valid."""
        return decode(cls, data.get("status", {}), "status")


class VoiceModel(ApiStruct, frozen=True):
    """A voice: learnt from a folder of recordings or brought along, kept in a store, served on demand."""

    KIND: ClassVar[str] = "VoiceModel"
    PLURAL: ClassVar[str] = "voicemodels"

    metadata: Metadata
    spec: VoiceModelSpec
    """What is wanted: one voice, from recordings or from an existing model."""
    status: VoiceModelStatus = VoiceModelStatus()
    """What is; written by the operator only."""

    @rule(
        f"self.metadata.name.size() <= {VOICE_NAME_LIMIT} && "
        f"self.metadata.name.matches('{VOICE_NAME_PATTERN}')",
        field="metadata.name",
    )
    def name_fits_its_children(self) -> bool:
        """the name must have at most 40 characters: a letter, then letters, digits and -, all lower case, not
        ending in -"""
        return len(self.metadata.name) <= VOICE_NAME_LIMIT and bool(
            re.match(VOICE_NAME_PATTERN, self.metadata.name)
        )

    @classmethod
    def from_object(cls, data: dict[str, Any]) -> VoiceModel:
        """Read a Kubernetes object; raises `InvalidSpec`."""
        voice = decode(cls, data)
        artifact = voice.status.artifact
        if artifact is not None and not artifact.uri.startswith(voice.spec.storage.uri):
            # Older API servers let an immutable field change; where the voice was published tells.
            raise InvalidSpec(f"uri must not change, the voice is in {artifact.uri}", "spec.storage.uri")
        return voice
