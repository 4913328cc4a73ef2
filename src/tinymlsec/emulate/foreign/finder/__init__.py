"""Finds model, runtime, tensors and layers in firmware images, with symbols or without.

Everything here works on plain bytes at known addresses, so it can be tested on images made by hand.
"""
