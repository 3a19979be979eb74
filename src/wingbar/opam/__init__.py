"""OPAM, a file a step: proposals, filtering, saliency, localization, parts, alignment, fusion.

Pure functions on arrays and tensors: no files, no printing, no globals.
"""
