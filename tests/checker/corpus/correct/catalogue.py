"""lossmith's own catalogue, each loss with the target it is made for."""

import lossmith as ls
from checker.corpus.case import CORRECT, Case
from lossmith.allpairs import TwoEncoderLoss

TARGETS = {"ModifiedHuber": "plus_minus", "Contrastive": "distance"}
FAMILIES = {"Huber": "huber", "Quantile": "pinball"}
MORE = (
    ("contrastive-pair", "pair", ls.losses.contrastive),
    ("contrastive-paper", "distance", ls.losses.contrastive(same=0, factor=0.5)),
    ("huber-3", "regression", ls.losses.huber(threshold=3.0)),
    ("quantile-90", "regression", ls.losses.quantile(q=0.9)),
)


def _target(loss: ls.Loss) -> str:
    named = TARGETS.get(type(loss).__name__)
    return named or {"value": "regression", "class": "embedding", "pair": "distance"}[loss.targets]


def _declared(loss: ls.Loss) -> dict[str, object]:
    family = FAMILIES.get(type(loss).__name__)
    words = {} if family is None else {"family": family}
    return {**words, "same": loss.same} if hasattr(loss, "same") else words


# The checker has no kind of target with two views of each item.
for _name in ls.losses.__all__:
    _loss = getattr(ls.losses, _name)
    if isinstance(_loss, ls.Loss) and not isinstance(_loss, TwoEncoderLoss):
        CORRECT.cases.append(
            Case(f"lossmith-{_name}", _loss, _target(_loss), declared=_declared(_loss))
        )

for _name, _kind, _loss in MORE:
    CORRECT.cases.append(Case(f"lossmith-{_name}", _loss, _kind, declared=_declared(_loss)))
