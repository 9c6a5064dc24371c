"""The Storage SCP: receive DICOM instances, store them durably, register their series.

Stages of an instance: accept → assemble → write → record arrival. Stages of a series: complete
→ register → publish. docs/architecture.md names the class and file of each stage.
"""
