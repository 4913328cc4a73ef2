"""What runs in the emulator's process: Unicorn, the tracer in C, the decoders behind it.

Nothing here is imported by the parent but `library` (to build the tracer) and what describes requests.
"""
