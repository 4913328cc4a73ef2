"""What runs in the emulator's process: Unicorn, the tracer in C, and the decoders that tell the tracer about instructions.

Nothing here is imported by the parent but `library` (to build the tracer) and `protocol`.
"""
