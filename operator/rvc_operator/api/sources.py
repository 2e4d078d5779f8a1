"""Where recordings and voices are kept, as users name it: `oss://bucket/key` or `pvc://claim/path`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from .common import Label, Name, Reference, SpecStruct, Uri
from .rules import Immutable, file, folder, rule


class Dataset(SpecStruct, frozen=True):
    """Recordings to learn a voice from."""

    uri: Uri
    """Folder of recordings of one speaker (wav, flac, mp3, ogg, m4a; any rate), read with its subfolders,
    e.g. oss://bucket/recordings/alice/ or pvc://claim/recordings/alice/. Ten minutes of clean speech are a
    good start."""
    revision: Annotated[str, Meta(max_length=63)] | None = None
    """Any word; changing it says that the recordings behind the same URI are other ones, and trains again."""

    names_a_folder = folder("uri")


class Import(SpecStruct, frozen=True):
    """A voice that was trained elsewhere."""

    model_uri: Uri
    """The model file of the RVC community's format (.pth), as the original program, Applio and others write
    it, e.g. pvc://claim/downloads/alice.pth. A file that wants anything executed is refused."""
    index_uri: Uri | None = None
    """Its retrieval index (.index, mostly called added_...); without one, indexRatePercent has no effect."""
    revision: Annotated[str, Meta(max_length=63)] | None = None
    """Any word; changing it says that the files behind the same URIs are other ones, and imports again."""

    names_a_model = file("modelUri")
    names_an_index = file("indexUri")


class Storage(SpecStruct, frozen=True):
    """Where the voice's files are kept, and how that place is reached."""

    uri: Uri
    """Folder below which voices are kept; this one's files are in NAMESPACE/NAME/REVISION/ under it.
    Immutable."""
    endpoint: (
        Annotated[str, Meta(max_length=253, pattern="^(https?://)?[-A-Za-z0-9.]+(:[0-9]{1,5})?$")] | None
    ) = None
    """Address of the object store, e.g. https://oss-cn-wulanchabu-internal.aliyuncs.com; left out, the one
    that belongs to the region."""
    region: Label | None = None
    """Region of the object store, e.g. cn-wulanchabu; needed to sign requests to oss://."""
    secret_ref: Reference | None = None
    """Secret with the keys akId and akSecret, for oss:// by access key. The operator itself never reads
    it."""
    service_account_name: Name | None = None
    """Service account of the pods, for oss:// by RRSA (a RAM role without stored keys)."""
    volume_claim_name: Name | None = None
    """The PersistentVolumeClaim of a pvc:// uri, for manifests that like to name it; it is mounted either
    way."""

    names_a_folder = folder("uri")
    stays = Immutable("uri")

    @rule("!has(self.secretRef) || !has(self.serviceAccountName)")
    def has_one_identity(self) -> bool:
        """set at most one of secretRef and serviceAccountName"""
        return self.secret_ref is None or self.service_account_name is None

    @rule("!self.uri.startsWith('oss://') || has(self.secretRef) || has(self.serviceAccountName)")
    def can_reach_its_uri(self) -> bool:
        """an oss:// uri needs secretRef (Secret with akId and akSecret) or serviceAccountName (RRSA)"""
        return not self.uri.startswith("oss://") or self.has_credentials

    @rule(
        "!has(self.volumeClaimName) || self.uri.startsWith('pvc://' + self.volumeClaimName + '/')",
        field="volumeClaimName",
    )
    def names_its_claim(self) -> bool:
        """volumeClaimName must be the claim that uri names (pvc://CLAIM/...); leave it out otherwise"""
        return self.volume_claim_name is None or self.uri.startswith(f"pvc://{self.volume_claim_name}/")

    @property
    def has_credentials(self) -> bool:
        """Whether pods are given a way to prove who they are to an object store."""
        return self.secret_ref is not None or self.service_account_name is not None
