"""The statistics of a validation: functions of arrays, which read no file and print nothing.

Each figure is an :class:`~.estimate.Estimate`, with its standard error and its interval, or an
:class:`~.estimate.Undetermined`, which says what it lacks. Shapes, everywhere: ``R`` runs, ``Q`` queries, ``N``
training sequences. :mod:`.jackknife` has the errors, :mod:`.lds`, :mod:`.effects`, :mod:`.memorisation`,
:mod:`.groups` and :mod:`.calibration` a question each.
"""
