"""Conversion: recordings that are to be spoken or sung by a voice.

What is converted, where to and how is immutable: another conversion is another object. Suspending, deadlines
and retries may change at any time.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta, field

from rvc.contract import (
    LONGEST_LINK_SECONDS,
    MAX_REPORTED_FAILURES,
    MAX_SHARDS,
    AudibleLabel,
    AudioFormat,
    PitchMethod,
)

from .common import (
    ApiStruct,
    Condition,
    Count,
    Digest,
    Failure,
    Label,
    Metadata,
    Name,
    SpecStruct,
    Text,
    Time,
    Uri,
    VoiceName,
    by_key,
)
from .rules import Immutable, InvalidSpec, decode, file, folder, rule


class SuccessPolicy(StrEnum):
    """How many files must succeed for the Conversion to be Ready."""

    ALL = "All"
    ANY = "Any"


class VoiceModelReference(SpecStruct, frozen=True):
    """A VoiceModel in the same namespace."""

    name: VoiceName
    """Name of the VoiceModel, in the same namespace. It may come later; the Conversion waits for it."""


class Input(SpecStruct, frozen=True):
    """What is converted: one file, or every recording in a folder."""

    object: Uri | None = None
    """One recording, e.g. oss://bucket/inbox/hello.wav or pvc://claim/inbox/hello.wav."""
    prefix: Uri | None = None
    """A folder of recordings, read with its subfolders; files that are there when the conversion starts."""

    names_a_file = file("object")
    names_a_folder = folder("prefix")

    @rule("has(self.object) != has(self.prefix)")
    def has_one_source(self) -> bool:
        """set exactly one of object (one file) and prefix (a folder)"""
        return (self.object is None) != (self.prefix is None)


class SignedLinks(SpecStruct, frozen=True):
    """Links for listening, with which whoever has one reads the file without credentials."""

    expiry_seconds: Annotated[int, Meta(ge=60, le=LONGEST_LINK_SECONDS)] = 86400
    """How long they are good for after the end of the Conversion, 7 days at most. Links that were signed with
    keys that expire (RRSA) end with these."""


class Output(SpecStruct, frozen=True):
    """Where the converted files go, and in which form."""

    prefix: Uri
    """Folder of the converted files; each keeps its name and its path below the input folder, with the ending
    of the format. Files of the same name are replaced."""
    format: AudioFormat = AudioFormat.WAV
    """File format: WAV and FLAC keep every sample, MP3 and OGG are small."""
    audible_label: AudibleLabel = AudibleLabel.NONE
    """Where the Morse rhythm of the letters AI (short long, short short), or audibleLabelPrompt, tells
    listeners that the voice is synthetic: None, Start or StartAndEnd; the file is longer by it. The inaudible
    label AIGC in the file's metadata is always written."""
    audible_label_prompt: Uri | None = None
    """A recording of your own, of 10 s at most, that is heard instead of the Morse rhythm, e.g.
    oss://bucket/inbox/notice.wav. It is read once, where the voice's servers may read."""
    signed_links: SignedLinks | None = None
    """Adds a link to each converted file to the list of results, results.jsonl beside status.resultsUri; left
    out, there are none. Only on oss://."""

    names_a_folder = folder("prefix")
    names_a_prompt = file("audibleLabelPrompt")

    @rule("!has(self.audibleLabelPrompt) || self.audibleLabel != 'None'", field="audibleLabelPrompt")
    def prompt_is_heard(self) -> bool:
        """audibleLabelPrompt needs audibleLabel to be Start or StartAndEnd"""
        return self.audible_label_prompt is None or self.audible_label is not AudibleLabel.NONE

    @rule("!has(self.signedLinks) || self.prefix.startsWith('oss://')", field="signedLinks")
    def links_lead_somewhere(self) -> bool:
        """signedLinks needs a prefix on oss://; there are no links to files on a volume"""
        return self.signed_links is None or self.prefix.startswith("oss://")


class Parameters(SpecStruct, frozen=True):
    """How the voice speaks; the defaults suit speech."""

    transpose_semitones: Annotated[int, Meta(ge=-36, le=36)] = 0
    """Shift of the melody: 12 is an octave up, as from a man's voice to a woman's; -12 an octave down."""
    automatic_transpose: bool = False
    """True first shifts the melody, in whole semitones, so that its median becomes that of the voice's own
    recordings; transposeSemitones comes on top. For speech; a song would change its key."""
    formant_shift_cents: Annotated[int, Meta(ge=-1200, le=1200)] = 0
    """Shift of the formants, a hundred to the semitone: up sounds like a smaller throat, down like a larger
    one."""
    pitch_method: PitchMethod = PitchMethod.AUTO
    """Way to find the melody (F0) in the recordings; Auto takes the one that the voice was trained with."""
    index_rate_percent: Annotated[int, Meta(ge=0, le=100)] = 75
    """How much the pronunciation is drawn to that of the voice's own recordings; 0 keeps the source's."""
    protect_percent: Annotated[int, Meta(ge=0, le=50)] = 33
    """Protection of breaths and voiceless consonants from that drawing: 0 is the strongest, 50 is none."""
    rms_mix_rate_percent: Annotated[int, Meta(ge=0, le=100)] | None = None
    """Whose loudness is followed: 0 the source's, 100 the voice's own. Without it 25 for RVC2, as in the
    community's programs, and 100 for Light, which speaks as loud or as softly as the source anyway."""
    filter_radius: Annotated[int, Meta(ge=0, le=7)] = 3
    """Width of the median filter over the melody, in steps of 10 ms; from 3 on it smooths, below it is
    off."""
    resample_hertz: Annotated[int, Meta(ge=0, le=192000)] = 0
    """Sample rate of the converted files, from 8000; 0 keeps the voice's own."""
    speaker_id: Annotated[int, Meta(ge=0, le=108)] = 0
    """Which speaker of a voice with several."""

    @rule("self.resampleHertz == 0 || self.resampleHertz >= 8000", field="resampleHertz")
    def rate_is_audible(self) -> bool:
        """resampleHertz must be 0 (the voice's own rate) or from 8000 to 192000"""
        return self.resample_hertz == 0 or self.resample_hertz >= 8000


class ConversionSpec(SpecStruct, frozen=True):
    """What is wanted: recordings, spoken by a voice."""

    voice_model_ref: VoiceModelReference
    """The voice that speaks. Immutable."""
    input: Input
    """What is converted. Immutable."""
    output: Output
    """Where the converted files go, and in which form. Immutable."""
    parameters: Parameters = Parameters()
    """How the voice speaks. Immutable."""
    parallelism: Annotated[int, Meta(ge=1, le=MAX_SHARDS)] = 1
    """Servers that share the files of a folder; serving.maxReplicas of the voice should allow as many, else
    some do more than one share. It counts when the work is first given out; a later change has no effect."""
    success_policy: SuccessPolicy = SuccessPolicy.ALL
    """All: Ready when every file is converted. Any: Ready when at least one is."""
    backoff_limit: Annotated[int, Meta(ge=0, le=20)] = 3
    """How many failed attempts are followed by another one, for the files that are not done yet."""
    active_deadline_seconds: Annotated[int, Meta(ge=60, le=604800)] = 86400
    """Longest time from creation to the end, waiting for the voice included."""
    ttl_seconds_after_finished: Annotated[int, Meta(ge=0, le=31536000)] | None = None
    """The Conversion deletes itself this long after its end, the converted files stay; left out, it is
    kept."""
    suspend: bool = False
    """True stops converting until it is false again; files that are done stay done."""

    voice_stays = Immutable("voiceModelRef")
    input_stays = Immutable("input")
    output_stays = Immutable("output")
    parameters_stay = Immutable("parameters")

    @rule(
        "!has(self.input.prefix) || !(self.output.prefix.startsWith(self.input.prefix) || "
        "self.input.prefix.startsWith(self.output.prefix))",
        field="output.prefix",
    )
    def folders_are_apart(self) -> bool:
        """input.prefix and output.prefix must not lie one inside the other, results would become sources"""
        source, target = self.input.prefix, self.output.prefix
        return source is None or not (target.startswith(source) or source.startswith(target))

    @rule(
        "!has(self.input.object) || !self.input.object.startsWith(self.output.prefix) || "
        "self.input.object.substring(self.output.prefix.size()).contains('/')",
        field="output.prefix",
    )
    def source_is_not_replaced(self) -> bool:
        """output.prefix must not be the folder of input.object, the source could be overwritten"""
        source, target = self.input.object, self.output.prefix
        return source is None or not source.startswith(target) or "/" in source[len(target) :]

    @property
    def request_digest(self) -> str:
        """Digest of everything immutable; defaults are left out, so that new ones do not change it."""
        wanted = [self.voice_model_ref, self.input, self.output, self.parameters]
        return "sha256:" + hashlib.sha256(msgspec.json.encode(wanted, order="sorted")).hexdigest()


class FileCounts(ApiStruct, frozen=True):
    """Files by outcome; what is missing to the total is still to do."""

    total: Count = 0
    """Files that the input names."""
    succeeded: Count = 0
    """Files that were converted, stored and verified."""
    failed: Count = 0
    """Files that could not be converted."""
    skipped: Count = 0
    """Files that needed no work. What an earlier run converted counts as succeeded, so this is 0 today."""


class FileFailure(ApiStruct, frozen=True):
    """Why one file was not converted."""

    key: Text
    """The file, as in the input."""
    reason: Annotated[str, Meta(max_length=63)]
    """One word for machines."""
    message: Text = ""
    """What is wrong with it and what to do about it."""
    shard: Count = 0
    """Index of the shard that it belongs to."""


class Assignment(ApiStruct, frozen=True):
    """The server that converts."""

    pod: Name
    """Name of the pod."""
    pod_uid: Annotated[str, Meta(max_length=63)] = field(name="podUID")
    """Unique id of the pod; another pod of the same name is another server."""
    pod_ip: Annotated[str, Meta(max_length=45)] = field(name="podIP")
    """Address of the pod."""
    dispatch_time: Time
    """When the work was given to it."""


class ShardStatus(ApiStruct, frozen=True):
    """One share of the files, which one server converts."""

    index: Annotated[int, Meta(ge=0, lt=MAX_SHARDS)]
    """Which one, from 0: it has every parallelism-th file of the frozen list, from the index-th on."""
    finished: bool = False
    """Whether each of its files has an outcome."""
    files: FileCounts = FileCounts()
    """Its files by outcome; total is that of all shards."""
    assignment: Assignment | None = None
    """The server that converts it, while one does."""


class ConversionStatus(ApiStruct, frozen=True):
    """What is; written by the operator only."""

    observed_generation: Annotated[int, Meta(ge=-1)] = -1
    """The metadata.generation that this status answers; -1 before the operator has seen the object."""
    conditions: Annotated[tuple[Condition, ...], by_key("type", 8)] = ()
    """Ready (every required file is stored and verified); Reconciling and Stalled only while true."""
    voice_revision: Label | None = None
    """Revision of the voice, fixed when the work is first given out: one Conversion never mixes two
    voices."""
    request_digest: Digest | None = None
    """Digest of the immutable fields when the work was first given out; Kubernetes before 1.25 does not guard
    them, the operator does."""
    files: FileCounts = FileCounts()
    """Files by outcome."""
    failures: Annotated[tuple[FileFailure, ...], Meta(max_length=MAX_REPORTED_FAILURES)] = ()
    """The first files that failed; all of them are in the results."""
    results_uri: Annotated[str, Meta(max_length=1280)] | None = None
    """File with the outcome of every input file."""
    start_time: Time | None = None
    """When the work was first given out."""
    completion_time: Time | None = None
    """When the Conversion ended, well or not."""
    attempt: Count = 0
    """Number of the current attempt, from 1."""
    failed_attempts: Count = 0
    """Attempts that failed and count against backoffLimit."""
    next_retry_time: Time | None = None
    """When the next attempt starts."""
    last_failure: Failure | None = None
    """Why the last attempt failed."""
    shards: Annotated[tuple[ShardStatus, ...], by_key("index", MAX_SHARDS)] = ()
    """Shares of the files, one unless parallelism asked for more; empty before the work is first given
    out."""

    @property
    def at_work(self) -> tuple[ShardStatus, ...]:
        """The shards that have a server."""
        return tuple(shard for shard in self.shards if shard.assignment is not None)

    @property
    def waiting(self) -> tuple[ShardStatus, ...]:
        """The shards that need a server."""
        return tuple(shard for shard in self.shards if shard.assignment is None and not shard.finished)

    @property
    def all_finished(self) -> bool:
        """Whether every file has an outcome."""
        return bool(self.shards) and all(shard.finished for shard in self.shards)

    @classmethod
    def from_object(cls, data: dict[str, Any]) -> ConversionStatus:
        """Read `status` of a Kubernetes object, also of one whose spec is not valid."""
        return decode(cls, data.get("status", {}), "status")


class Conversion(ApiStruct, frozen=True):
    """Recordings spoken by a voice: one file or a folder of them."""

    KIND: ClassVar[str] = "Conversion"
    PLURAL: ClassVar[str] = "conversions"

    metadata: Metadata
    spec: ConversionSpec
    """What is wanted: recordings, spoken by a voice."""
    status: ConversionStatus = ConversionStatus()
    """What is; written by the operator only."""

    @classmethod
    def from_object(cls, data: dict[str, Any]) -> Conversion:
        """Read a Kubernetes object; raises `InvalidSpec`."""
        conversion = decode(cls, data)
        if conversion.status.request_digest not in (None, conversion.spec.request_digest):
            # Older API servers let immutable fields change; what was first given out tells that they did.
            raise InvalidSpec(
                "voiceModelRef, input, output and parameters must not change; create another Conversion",
                "spec",
            )
        return conversion
