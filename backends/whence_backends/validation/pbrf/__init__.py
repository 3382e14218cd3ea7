"""The proximal Bregman response function: what a model would answer if it were trained a little more on one sequence.

    θ(ε) = argmin_θ  1/n Σ_i D(h(θ, x_i), h(θˢ, x_i)) - ε · log p(z; θ) + Σ_ℓ λ_ℓ/2 ‖θ_ℓ - θˢ_ℓ‖²

D is the Bregman divergence of the loss in the model's outputs h, θˢ the weights as they are, z a training sequence. The
influence function of a measurement f is the derivative of f(θ(ε)) at 0 with the Hessian replaced by the Gauss-Newton
matrix (Bae et al. 2022, arXiv 2209.05364; Grosse et al. 2023, §2.1.1 and App. C). So the response itself tests how well
EK-FAC computes what it approximates, without retraining. It says nothing about retraining.

:mod:`.weights` and :mod:`.losses` define the objective of :mod:`.objective`, which :mod:`.newton` minimizes with
:mod:`.conjugate_gradients`, preconditioned by :mod:`.nystrom`. :mod:`.responses` does so for points and sizes of
ε, :mod:`.agreement` compares, :mod:`.job` does all of it for a language model.
"""
