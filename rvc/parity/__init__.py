"""`rvc parity FOLDER`: hold our numbers against the original's.

A folder of fixtures holds `data/` (arrays that the original computed) and `models/` (weights in its formats).
Every file in them must be known to a check, or the folder does not pass. `runner` goes through the folder;
each of the other modules knows the files of one concept.
"""
