"""Craft: a small world of ground, lava, trees and ores, many of it side by side.

`layout` reads maps, `kernel` and `sight` are the compiled dynamics and observations, `world` holds a batch, `env` and
`vector` are Gymnasium's classes around it, `labeller` reads `[bind.craft]`, `render` draws. Importing this registers
the maps of the package with Gymnasium and loads neither numba nor the environments.
"""

from safetune.games.craft.register import IDS, register

__all__ = ["IDS", "register"]

register()
