"""How good a voice is, in figures: who is heard, what is said, at what pitch, how clean.

Two figures need nothing: F0 against the source's, and spectra against recordings where the same was said by
the same speaker. Others need networks: a speaker encoder from the base models, and DNSMOS and a speech
recogniser where their packages are installed. A figure that cannot be had is left out; none is ever made up.
"""
