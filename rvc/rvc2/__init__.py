"""`RVC2`: the community's voice-conversion network, compatible with every published voice.

    content, F0 bins -> prior encoder -> flow -> neural source-filter decoder -> sound
                        (training: a posterior encoder of the recording's spectrogram instead)

A VITS whose decoder is a HiFi-GAN, driven by a sine at F0 where the voice is pitch-guided. Sizes are in
`geometry`. All names of weights are those of the community's files, so state dicts are its lingua franca.
"""
