"""The files in which RVC users exchange voices, read without trust and written exactly.

A voice of the community is a `.pth` of PyTorch (half-precision weights, a positional list of sizes and a few
words about itself) and a faiss `.index` of the recordings it was learnt from. Nothing in them is run, nothing
in them is believed before it has been checked, and what does not fit is an error that lists it.

`inference_model` is the `.pth`, `training_checkpoint` its bigger relative, `index_file` the index; `voice`
turns them into a voice folder of ours and back; `merge` mixes two voices.
"""
