"""Heads fitted on fixed features, several at once in groups of a fixed size.

    weights = fit_heads(features_NH, targets, [HeadSpec(...), HeadSpec(...)], num_outputs=5)

A head comes out with the same bits alone or among others: every group has GROUP members (a smaller one is filled
up with copies of its first); a slice of a batched product does not depend on the other slices as long as all slices
are equally aligned (measured on CPU: without that, slices 0 and 4 of 13 × 7 floats agreed and no others), so H, U and
C are padded with zeros to whole cache lines; and elementwise steps are single IEEE operations, because fused ones
(`addcmul`, `add` with alpha) round the last elements of an array, which are not vectorised, otherwise than the rest.

`spec` says what a head is, `objective` what it minimises, `solve` and `steps` fit a group of them. Beside the features
there is one float64 copy of them and what a chunk of rows needs.
Shapes: G members, N rows, H features, U hidden units, C classes.
"""

from raybench.runtime.training.heads.fit import fit_heads
from raybench.runtime.training.heads.module import head_module
from raybench.runtime.training.heads.spec import HeadSpec, HeadWeights
from raybench.runtime.training.heads.targets import class_weights

__all__ = ["HeadSpec", "HeadWeights", "class_weights", "fit_heads", "head_module"]
