"""The mathematics of EK-FAC influence functions, in torch: from layer traces to factors, and from factors to scores.

One legend for the package: ``B`` sequences, ``T`` tokens, ``N`` rows (valid tokens of a batch), ``V`` vocabulary, ``Q``
queries, ``R`` rank; ``D_in`` counts the trailing 1 of a layer with a bias. ``A, S, Q_A, Q_S, Lambda`` are the paper's
(Grosse et al. 2023, arXiv 2308.03296, §2-3): a layer with inputs a_t and output gradients s_t has the gradient
G = Σ_t s_t a_tᵀ with shape [D_out, D_in].
"""
