"""From a folder of recordings to what a voice is learnt from.

recordings   files below the folder, and whose they are
hearing      one recording: its level, its pitch, where in it there is speech
features     what the networks hear in it, kept for the next attempt; pauses are cut out
held_out     which recordings training never sees
timeline     the others joined end to end
report       what a person should know of them
prepare      all of this in order
pieces       how the original RVC cuts speech into pieces, and how loud it makes them
"""

from rvc.dataset.recordings import AUDIO_SUFFIXES, Recording, Refusal, find_recordings

__all__ = ["AUDIO_SUFFIXES", "Recording", "Refusal", "find_recordings"]
