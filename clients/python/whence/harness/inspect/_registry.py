"""The entry point: what inspect_ai registers as ``whence/…``. Importing it connects to nothing."""

from whence.harness.inspect.hook import WhenceHooks
from whence.harness.inspect.scorer import attribution
from whence.harness.inspect.tool import training_sequences

__all__ = ["WhenceHooks", "attribution", "training_sequences"]
