"""How our objects look to the tools that people already use: Argo CD, Flux, kubectl, Kueue."""
