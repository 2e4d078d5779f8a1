"""From a folder of recordings to what a voice is learnt from.

    recordings   files below the folder, and whose they are
    features     what the networks hear in each of them, kept for the next attempt; pauses are cut out
    pieces       how the original RVC cuts speech into pieces, and how loud it makes them
    timeline     all of it joined end to end, for training and for listening afterwards
    held_out     which files training never sees
    report       what a person should know of the recordings
"""

from rvc.dataset.recordings import AUDIO_SUFFIXES, Recording, Refusal, find_recordings

__all__ = ["AUDIO_SUFFIXES", "Recording", "Refusal", "find_recordings"]
