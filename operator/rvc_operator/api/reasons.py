"""Every reason that a condition or an event of ours can carry, declared once.

The docstring under a reason has three paragraphs: what it means, what to do about it, and when it goes away;
docs/reasons.md is made of them.
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
    """The spec asks for what is not allowed; the message names the field and what is allowed.

    Change that field.

    With the next spec that is right."""
    REJECTED = "Rejected"
    """The API server does not take a Job, Deployment or Service of the voice; the message is the server's: a
    mistake in `podTemplate`, a quota, an admission rule.

    Correct `podTemplate`, or ask whoever administers quota and admission rules.

    By itself, once the server takes the object: it is offered again and again, after at most about a
    minute and a half."""
    SUSPENDED = "Suspended"
    """`spec.suspend` is true: nothing runs.

    Set it to false to go on; training resumes from its last checkpoint, a Conversion from its last file.

    When `spec.suspend` is false."""
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    """The work took longer than `activeDeadlineSeconds`; that of a voice is the time that its trainers ran.

    Find out what took so long (`status.training`, the pod's log). Raise the deadline of a VoiceModel to
    try again from the last checkpoint; create another Conversion.

    For a VoiceModel, with a changed spec; a Conversion has ended."""
    PENDING = "Pending"
    """A pod has been asked for and is about to start, or the one before it is about to end.

    Nothing. If it lasts, `kubectl describe pod` says what the node is busy with.

    When the pod runs; after `pendingDeadlineSeconds` without one, training is given up."""
    QUEUED = "Queued"
    """Kueue holds the training Job back until its queue has room.

    Nothing, or ask for more quota in the ClusterQueue: `kubectl describe workload`.

    When Kueue admits the Job. No deadline runs while it waits."""
    POD_NOT_CREATED = "PodNotCreated"
    """The training Job has no pod.

    `kubectl describe job` says why: a quota, an admission rule, a service account that is not there.

    By itself once the pod can be made; after `pendingDeadlineSeconds`, training is given up."""
    UNSCHEDULABLE = "Unschedulable"
    """No node fits the pod; the message is the scheduler's.

    Look at resources, node selectors and volume claims of the message, or add nodes.

    By itself once a node fits; after `pendingDeadlineSeconds`, training is given up."""
    ACCELERATOR_NOT_PERMITTED = "AcceleratorNotPermitted"
    """The cloud account may not use this accelerator.

    Ask the provider to enable it; on ACS by a ticket.

    By itself once it is enabled; after `pendingDeadlineSeconds`, training is given up."""
    ACCELERATOR_OUT_OF_STOCK = "AcceleratorOutOfStock"
    """The provider has no such accelerator to give at the moment.

    Wait, or choose another model, zone or quality of service.

    By itself once there is one; after `pendingDeadlineSeconds`, training is given up."""
    IMAGE_PULL_FAILED = "ImagePullFailed"
    """The container image cannot be fetched.

    Check its name, the registry and `podTemplate.imagePullSecrets`.

    By itself: the kubelet tries again; after `pendingDeadlineSeconds`, training is given up."""
    CREDENTIALS_MISSING = "CredentialsMissing"
    """The pod has no key for its store.

    With `storage.secretRef`: the Secret, or a key in it, is not there; create it. With RRSA
    (`storage.serviceAccountName`): the webhook gave the pod no role; set the namespace's label and the
    service account's annotation, then delete the pod.

    With a Secret by itself; with RRSA when there is a new pod."""
    PERMISSION_DENIED = "PermissionDenied"
    """The store refuses the key or role; the message names bucket and key.

    Compare the message with the policies of the key or role. Credentials may be repaired in place.

    With the next try, which is a long back-off away; with no tries left, by a changed spec or another
    Conversion."""
    CONTAINER_CANNOT_START = "ContainerCannotStart"
    """The container runtime refuses the container; the message is the runtime's.

    Correct what the message names: most often an image of another release or for another processor, or a
    volume.

    By itself: the kubelet tries again; after `pendingDeadlineSeconds`, training is given up."""
    TRAINING = "Training"
    """The trainer is at work; `status.training` says how far it is.

    Nothing.

    When the voice is published, or the attempt ends."""
    TRAINING_RETRYING = "TrainingRetrying"
    """The last attempt failed or was cut off; the next one starts at `status.training.nextRetryTime`, from
    the last checkpoint.

    Read `status.training.lastFailure`; an interruption costs no attempt, a failure one of `backoffLimit`.

    When the next attempt starts."""
    DATASET_INVALID = "DatasetInvalid"
    """The recordings cannot be learnt from; the message says why.

    Repair them and change `dataset.revision`.

    With a changed spec."""
    CONFIGURATION_INVALID = "ConfigurationInvalid"
    """Trainer or server cannot do what the spec asks for; the message says what they can.

    Change the spec, or provide what is missing, such as a base model.

    With a changed spec."""
    OUT_OF_MEMORY = "OutOfMemory"
    """Memory ran out, also with each batch computed in parts.

    Give the pod more memory, set a smaller `batchSize` or `gradientCheckpointing: true`.

    With a changed spec."""
    HUNG = "Hung"
    """The trainer ran on without progress for longer than the operator's `RVC_HUNG_SECONDS`, more often than
    `backoffLimit` allows.

    The message names its stage and pod: look at the GPU and its driver, at the store, and at the dataset if
    it is fetching or preparing: raise the operator's limit for datasets that take so long.

    With a changed spec, training goes on from the last checkpoint."""
    TRAINING_FAILED = "TrainingFailed"
    """Training failed more often than `backoffLimit` allows; the message is that of the last attempt.

    Read the message and the pod's log (`kubectl logs job/...`, the name is in `status.training.jobName`),
    mend the cause, raise `backoffLimit`.

    With a changed spec, training goes on from the last checkpoint."""
    PUBLISHED = "Published"
    """The voice's files are in the store and complete.

    Nothing.

    When the spec asks for another revision."""
    NOT_TRAINED = "NotTrained"
    """There is no voice to serve yet.

    Nothing; the condition `Trained` says how far it is.

    When the first revision is published."""
    SCALED_TO_ZERO = "ScaledToZero"
    """No server runs, since nothing is to be converted.

    Nothing. For quick answers set `serving.minReplicas`.

    The next Conversion starts a server."""
    STARTING = "Starting"
    """Servers are starting and loading the voice.

    Nothing. If it lasts, `kubectl describe pod` of the server says what it waits for.

    When a server is ready."""
    SERVER_FAILING = "ServerFailing"
    """No server becomes ready: its pod does not start, its container ends again and again, or it cannot load
    the voice.

    The message says why; `kubectl logs` says more. A voice whose files are damaged is trained anew with
    another `dataset.revision`, or its files are restored.

    By itself once a server is ready."""
    SERVING = "Serving"
    """At least one server is ready.

    Nothing.

    When the servers go, most often for want of work."""
    AVAILABLE = "Available"
    """The voice can be used.

    Nothing. If the message says that the wanted revision is not ready, `Trained` says why.

    When the voice is suspended."""
    CLEANING_UP = "CleaningUp"
    """The voice is deleted, and its files are being removed, as `deletionPolicy: Delete` asks for.

    Nothing. To let it go at once and keep the files, annotate it with `voice.rvc.dev/skip-clean-up: "true"`.

    When the files are removed, or after ten minutes; then the object goes."""
    CLEAN_UP_FAILED = "CleanUpFailed"
    """Of an event: a deleted voice has gone, and its files, or some of them, have not.

    The message names their folder and why they stay. Mend the cause and remove them by hand.

    With the event."""
    WAITING_FOR_VOICE = "WaitingForVoice"
    """The Conversion waits until its voice is there and trained.

    Nothing; the VoiceModel says how far it is.

    When the voice is available, or with the Conversion's deadline."""
    VOICE_NOT_FOUND = "VoiceNotFound"
    """There is no such VoiceModel in the namespace since ten minutes.

    Create it, or create a Conversion with the right name.

    When there is one, or with the Conversion's deadline."""
    WAITING_FOR_INFERENCE = "WaitingForInference"
    """The Conversion waits for a server to start or to have room.

    Nothing; the condition `Serving` of the VoiceModel says more. Raise `serving.maxReplicas` for more
    room.

    When a server takes it."""
    CONVERTING = "Converting"
    """A server is at work; `status.files` says how far it is.

    Nothing.

    When every file has an outcome, or the server is lost."""
    CONVERSION_RETRYING = "ConversionRetrying"
    """The server could not go on; the next try starts at `status.nextRetryTime`, with the files that are
    left.

    Read `status.lastFailure`.

    When the next try starts."""
    CONVERTED = "Converted"
    """Every required output is in the store and verified.

    Nothing. With `successPolicy: Any`, look at `status.failures`.

    Never: the Conversion has ended."""
    PARTIALLY_FAILED = "PartiallyFailed"
    """Some files could not be converted; `status.failures` and the results file say which and why.

    Mend those files, and create another Conversion for them.

    Never: the Conversion has ended."""
    CONVERSION_FAILED = "ConversionFailed"
    """No file could be converted, or the conversion failed more often than `backoffLimit` allows.

    Read the message and `status.failures`, mend the cause, and create another Conversion.

    Never: the Conversion has ended."""
    INPUT_INVALID = "InputInvalid"
    """The input or output cannot be reached as it is named, or names no recording; the message says why.

    Create another Conversion with the right names.

    Never: the Conversion has ended."""


class Outcome(StrEnum):
    """Why a training attempt ended early: `reason` in `status.training.lastFailure`."""

    DATASET_INVALID = "DatasetInvalid"
    """Exit code 10: the recordings cannot be learnt from.

    Repair them and change `dataset.revision`.

    Final."""
    CONFIGURATION_INVALID = "ConfigurationInvalid"
    """Exit code 11: the request asks for what there is not.

    Change the spec, or provide what is missing.

    Final."""
    PERMISSION_DENIED = "PermissionDenied"
    """Exit code 12: the store refuses; the message names bucket and key.

    Compare the message with the policies of the key or role. Credentials may be repaired in place.

    Retried with the longest back-off."""
    CREDENTIALS_MISSING = "CredentialsMissing"
    """Exit code 12: the pod has no key for its store, and no role.

    Create the Secret; with RRSA, set the namespace's label and the service account's annotation.

    Retried with the longest back-off."""
    STORE_UNAVAILABLE = "StoreUnavailable"
    """Exit code 13: the store does not answer, or not well.

    Check `storage.endpoint` and `storage.region`, and whether pods reach them.

    Retried."""
    ACCELERATOR_ERROR = "AcceleratorError"
    """Exit code 14: the GPU is missing or failed.

    An image that does not suit the card or its driver fails each time; a broken card only here.

    Retried."""
    OUT_OF_MEMORY = "OutOfMemory"
    """The pod or the card ran out of memory.

    Nothing the first time.

    Retried once, from the last checkpoint, with each batch computed in four parts; what is learnt is the
    same."""
    HUNG = "Hung"
    """The trainer ran on without progress for longer than the operator's `RVC_HUNG_SECONDS`; its Job was
    removed, so that it holds no GPU.

    Nothing the first time. If it happens again in the same stage, look at the GPU, the store, the dataset.

    Retried from the last checkpoint."""
    TRAINER_FAILED = "TrainerFailed"
    """Any other exit code, or success without a result.

    Read the message and the pod's log.

    Retried."""
    DISRUPTED = "Disrupted"
    """The pod was evicted, preempted, deleted or lost with its node.

    Nothing.

    Retried from the last checkpoint; costs no attempt."""
    JOB_DELETED = "JobDeleted"
    """The Job was deleted while it ran.

    Nothing. To stop training, set `spec.suspend`.

    Retried from the last checkpoint; costs no attempt."""
