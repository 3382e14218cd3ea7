"""The plug-in for inspect_ai: a scorer, a tool for agents and a hook. Needs ``whence[harness-inspect]``.

inspect_ai finds it by its entry point, :mod:`whence.harness.inspect._registry`, whose names begin with ``whence/``.
"""
