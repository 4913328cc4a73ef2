"""The deployed integer graph as a batched PyTorch module whose integers equal the runtime's, with gradients.

Needs the extra ``tinymlsec[lift]``. Nothing outside of this package imports PyTorch.
"""
