"""The operator under trouble: crashes at every write, outages of minutes, silent watches, random lives.

Between it and the real API server stands a proxy that loses, delays and mangles what it is told to.
"""
