"""Every reason that a condition or an event of ours can carry, declared once.

The docstring under a reason says what it means and what to do; the reference is made from it.
"""

from __future__ import annotations

from enum import StrEnum


class ConditionType(StrEnum):
    """Conditions of both kinds; the last two are present only while true."""

    READY = "Ready"
    TRAINED = "Trained"
    SERVING = "Serving"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


class Reason(StrEnum):
    """Why a condition is what it is."""

    INVALID_SPEC = "InvalidSpec"
    """The spec asks for what is not allowed; the message names the field and what is allowed. Change the
    spec."""
    REJECTED = "Rejected"
    """The API server does not take a Job, Deployment or Service of the voice; the message is the server's: a
    mistake in `podTemplate`, a quota, an admission rule."""
    SUSPENDED = "Suspended"
    """`spec.suspend` is true: nothing runs. Set it to false to go on."""
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    """The work took longer than `activeDeadlineSeconds`. Raise the deadline of a VoiceModel to try again, or
    create another Conversion."""

    PENDING = "Pending"
    """A pod has been asked for and is about to start. Nothing to do."""
    QUEUED = "Queued"
    """Kueue holds the training Job back until its queue has room. Nothing to do."""
    POD_NOT_CREATED = "PodNotCreated"
    """The training Job has no pod. `kubectl describe job` says why: a quota, an admission rule, a service
    account."""
    UNSCHEDULABLE = "Unschedulable"
    """No node fits the pod. The message is the scheduler's: look at resources, node selectors and volume
    claims."""
    ACCELERATOR_NOT_PERMITTED = "AcceleratorNotPermitted"
    """The cloud account may not use this accelerator. Ask the provider to enable it (on ACS by a ticket)."""
    ACCELERATOR_OUT_OF_STOCK = "AcceleratorOutOfStock"
    """The provider has no such accelerator to give at the moment. Wait, or choose another model or zone."""
    IMAGE_PULL_FAILED = "ImagePullFailed"
    """The container image cannot be fetched. Check its name, the registry and
    `podTemplate.imagePullSecrets`."""
    CREDENTIALS_MISSING = "CredentialsMissing"
    """The pod has no key for its store. With `storage.secretRef`: the Secret, or a key in it, is not there;
    create it, and the pod starts by itself. With RRSA (`storage.serviceAccountName`): the webhook gave the
    pod no role; set the namespace's label and the service account's annotation, then delete the pod."""
    CONTAINER_CANNOT_START = "ContainerCannotStart"
    """The container runtime refuses the container; the message is the runtime's."""

    TRAINING = "Training"
    """The trainer is at work; `status.training` says how far it is."""
    TRAINING_RETRYING = "TrainingRetrying"
    """The last attempt failed or was cut off; the next one starts at `status.training.nextRetryTime`."""
    DATASET_INVALID = "DatasetInvalid"
    """The recordings cannot be learnt from; the message says why. Repair them and change
    `dataset.revision`."""
    CONFIGURATION_INVALID = "ConfigurationInvalid"
    """Trainer or server cannot do what the spec asks for; the message says what they can. Change the spec."""
    OUT_OF_MEMORY = "OutOfMemory"
    """Memory ran out, also with half the batch size. Give the pod more memory or set a smaller
    `batchSize`."""
    TRAINING_FAILED = "TrainingFailed"
    """Training failed more often than `backoffLimit` allows; the message is that of the last attempt."""
    PUBLISHED = "Published"
    """The voice's files are in the store and complete."""

    NOT_TRAINED = "NotTrained"
    """There is no voice to serve yet."""
    SCALED_TO_ZERO = "ScaledToZero"
    """No server runs, since nothing is to be converted. The next Conversion starts one."""
    STARTING = "Starting"
    """Servers are starting and loading the voice."""
    SERVER_FAILING = "ServerFailing"
    """No server becomes ready: its container ends again and again, or it cannot load the voice. The message
    says why; `kubectl logs` says more."""
    SERVING = "Serving"
    """At least one server is ready."""
    AVAILABLE = "Available"
    """The voice can be used."""

    WAITING_FOR_VOICE = "WaitingForVoice"
    """The Conversion waits until its voice is trained. Nothing to do."""
    VOICE_NOT_FOUND = "VoiceNotFound"
    """There is no such VoiceModel in the namespace since ten minutes. Create it or correct the name."""
    WAITING_FOR_INFERENCE = "WaitingForInference"
    """The Conversion waits for a server to start or to have room. `Serving` of the VoiceModel says more."""
    CONVERTING = "Converting"
    """A server is at work; `status.files` says how far it is."""
    CONVERSION_RETRYING = "ConversionRetrying"
    """The server could not go on; the next try starts at `status.nextRetryTime`."""
    CONVERTED = "Converted"
    """Every required output is in the store and verified."""
    PARTIALLY_FAILED = "PartiallyFailed"
    """Some files could not be converted; `status.failures` and the results file say which and why."""
    CONVERSION_FAILED = "ConversionFailed"
    """No file could be converted, or the conversion failed more often than `backoffLimit` allows."""
    INPUT_INVALID = "InputInvalid"
    """The input or output cannot be reached as it is named; the message says why."""


class Outcome(StrEnum):
    """Why a training attempt ended early: `reason` in `status.training.lastFailure`."""

    DATASET_INVALID = "DatasetInvalid"
    """Exit code 10: the recordings cannot be learnt from. Final."""
    CONFIGURATION_INVALID = "ConfigurationInvalid"
    """Exit code 11: the request asks for what there is not. Final."""
    PERMISSION_DENIED = "PermissionDenied"
    """Exit code 12: the store refuses. Retried with a long back-off, credentials may be repaired."""
    STORE_UNAVAILABLE = "StoreUnavailable"
    """Exit code 13: the store does not answer well. Retried."""
    ACCELERATOR_ERROR = "AcceleratorError"
    """Exit code 14: the GPU is missing or failed. Retried."""
    OUT_OF_MEMORY = "OutOfMemory"
    """Retried once with half the batch size."""
    TRAINER_FAILED = "TrainerFailed"
    """Any other exit code, or success without a result. Retried."""
    DISRUPTED = "Disrupted"
    """The pod was evicted, preempted, deleted or lost with its node. Costs no attempt."""
    JOB_DELETED = "JobDeleted"
    """The Job was deleted while it ran. Costs no attempt."""
