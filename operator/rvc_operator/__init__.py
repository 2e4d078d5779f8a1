"""The operator: watches VoiceModels and Conversions, decides, and writes what it decided to Kubernetes."""
