"""All rules of the checker. A code never changes its meaning; the hundreds are groups.

1 finite, 2 gradient and direction, 3 batch contract, 4 execution, 5 hyperparameters, 6 saving,
7 convention and source, 8 model, 9 could not be checked.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from lossmith.checker.report import Evidence, Finding, Rule, Severity

_rules: dict[str, Rule] = {}
RULES: Mapping[str, Rule] = MappingProxyType(_rules)
"""Every rule by its code."""


def _rule(code: str, name: str, severity: Severity, summary: str) -> Rule:
    rule = Rule(code, name, severity, summary)
    _rules[code] = rule
    return rule


VALUE_NOT_FINITE = _rule(
    "LSM101", "value-not-finite", "error", "The loss is NaN or infinite on a valid input."
)
GRADIENT_NOT_FINITE = _rule(
    "LSM102", "gradient-not-finite", "error", "The gradient is NaN or infinite on a valid input."
)
DEGENERATE_BATCH = _rule(
    "LSM103", "degenerate-batch", "error", "A batch that occurs by chance makes the loss NaN."
)

NO_GRADIENT = _rule(
    "LSM201", "no-gradient", "error", "The loss does not depend smoothly on the prediction."
)
DEAD_LABEL = _rule("LSM202", "dead-label", "error", "Rows of one label never get a gradient.")
DEAD_OUTPUT = _rule(
    "LSM203", "dead-output", "error", "One column of the prediction never gets a gradient."
)
PLATEAU = _rule(
    "LSM204", "plateau", "warning", "A wrong prediction gets no gradient although it costs."
)
JUMP = _rule("LSM205", "jump", "error", "The loss jumps as the prediction moves a little.")
NOT_MONOTONE = _rule("LSM206", "not-monotone", "error", "The loss falls while the error grows.")
WRONG_MINIMUM = _rule(
    "LSM207", "wrong-minimum", "error", "The perfect prediction is not the cheapest one."
)
WRONG_DESCENT = _rule(
    "LSM208", "wrong-descent", "error", "Following the gradient leads away from the target."
)
UNBOUNDED_BELOW = _rule("LSM209", "unbounded-below", "error", "The loss falls without end.")
GRADIENT_MISMATCH = _rule(
    "LSM210", "gradient-mismatch", "warning", "The gradient is not the slope of the value."
)
NEGATIVE_VALUE = _rule("LSM211", "negative-value", "information", "The loss takes negative values.")

POSITIVE_ONLY = _rule(
    "LSM212", "positive-only", "warning", "The loss has no sense for negative predictions."
)

RANK_BROADCAST = _rule(
    "LSM301", "rank-broadcast", "error", "Labels (N,) and (N, 1) give different values."
)
WEIGHT_IGNORED = _rule(
    "LSM302", "weight-ignored", "error", "sample_weight does not weigh the samples."
)
WEIGHT_WRONG_AXIS = _rule(
    "LSM303", "weight-wrong-axis", "error", "sample_weight acts on columns instead of rows."
)
WEIGHT_REFUSED = _rule(
    "LSM304", "weight-refused", "warning", "One weight per sample raises an error."
)
WRONG_AXIS = _rule("LSM305", "wrong-axis", "error", "The values returned are not one per sample.")
BATCH_SIZE = _rule(
    "LSM306", "batch-size", "warning", "The loss grows or shrinks with the batch size."
)
BATCH_COUPLED = _rule(
    "LSM307", "batch-coupled", "warning", "A sample's loss depends on the others in its batch."
)
ORDER_DEPENDENT = _rule(
    "LSM308", "order-dependent", "error", "Shuffling the rows of a batch changes the loss."
)
SCALAR_OUTPUT = _rule(
    "LSM309", "scalar-output", "information", "The loss returns one number for the whole batch."
)
MASK_LEAK = _rule(
    "LSM310", "mask-leak", "error", "What stands in ignored positions changes the loss."
)
CROSSED_ROWS = _rule(
    "LSM311", "crossed-rows", "error", "Every label of the batch is compared with every prediction."
)

IMPURE = _rule("LSM401", "impure", "error", "The same input gives two values.")
COMPILED_DIFFERS = _rule(
    "LSM402", "compiled-differs", "error", "The compiled loss gives another value than the eager."
)
NOT_COMPILABLE = _rule(
    "LSM403", "not-compilable", "error", "The loss cannot run in a compiled training step."
)
LAST_BATCH = _rule(
    "LSM404", "last-batch", "error", "A last batch of another size fails or is miscounted."
)
BACKENDS_DISAGREE = _rule(
    "LSM405", "backends-disagree", "error", "Two backends give different numbers."
)
HALF_PRECISION = _rule(
    "LSM406", "half-precision", "warning", "In half precision the loss is not finite."
)
LABEL_DTYPE = _rule(
    "LSM407", "label-dtype", "warning", "Integer, boolean or float64 labels change the value."
)
CHANGES_ITSELF = _rule(
    "LSM408", "changes-itself", "error", "Calling the loss changes its own attributes."
)
CHANGES_SURROUNDINGS = _rule(
    "LSM409", "changes-surroundings", "error", "Calling the loss changes a setting of the program."
)
PRINTS = _rule("LSM410", "prints", "information", "The loss prints when it is called.")

NO_EFFECT = _rule(
    "LSM501", "no-effect", "error", "A hyperparameter changes neither value nor gradient."
)
DOMAIN_UNCHECKED = _rule(
    "LSM502", "domain-unchecked", "warning", "Senseless hyperparameters are accepted in silence."
)
IDENTITY_BROKEN = _rule(
    "LSM503", "identity-broken", "error", "A limit that the family's formula has does not hold."
)

NOT_RESTORED = _rule(
    "LSM601", "not-restored", "error", "Saved and loaded, the loss gives other values."
)
NOT_LOADED = _rule("LSM602", "not-loaded", "error", "A model saved with this loss cannot load.")
NOT_SAVED = _rule("LSM603", "not-saved", "error", "A model with this loss cannot be saved.")
NAME_TAKEN = _rule(
    "LSM604", "name-taken", "error", "The saved name belongs to another loss of Keras."
)

DOUBLE_ACTIVATION = _rule(
    "LSM701", "double-activation", "error", "Sigmoid or softmax is applied twice."
)
ARGUMENTS_SWAPPED = _rule(
    "LSM702", "arguments-swapped", "error", "y_true and y_pred have changed places."
)
LABEL_MEANING = _rule(
    "LSM703", "label-meaning", "error", "Pairs that are the same are pushed apart."
)
LABELS_UNFIT = _rule(
    "LSM704", "labels-unfit", "error", "The formula is made for labels of another range."
)
LOGITS_UNFIT = _rule("LSM705", "logits-unfit", "error", "Logits are read as probabilities.")
RESULT_DISCARDED = _rule(
    "LSM711", "result-discarded", "warning", "The result of an operation is thrown away."
)
MAX_FOR_MAXIMUM = _rule(
    "LSM712",
    "max-for-maximum",
    "warning",
    "A reduction stands in place of a maximum.",
)
CLOSES_OVER_DATA = _rule(
    "LSM713", "closes-over-data", "warning", "The loss closes over an array of batch size."
)
KEEPS_STATE = _rule("LSM714", "keeps-state", "warning", "The loss keeps state in attributes.")
NUMPY_INSIDE = _rule("LSM715", "numpy-inside", "warning", "NumPy is used amid tensors.")

RANGE_UNREACHABLE = _rule(
    "LSM801", "range-unreachable", "warning", "The model's last activation cannot reach the floor."
)
ACTIVATION_UNFIT = _rule(
    "LSM802", "activation-unfit", "error", "The model's last activation does not fit the loss."
)
MODEL_SHAPES = _rule(
    "LSM803", "model-shapes", "error", "The model's output shape does not fit the loss."
)

RAISES = _rule("LSM901", "raises", "error", "The loss raises an error on ordinary input.")
TARGET_UNFIT = _rule(
    "LSM902", "target-unfit", "error", "The loss takes inputs of another kind than the target."
)
NOT_IMPORTED = _rule("LSM903", "not-imported", "error", "The loss could not be imported.")
OUT_OF_TIME = _rule("LSM904", "out-of-time", "error", "The loss did not finish in time.")
PROCESS_DIED = _rule("LSM905", "process-died", "error", "The loss ended its process.")
PROBE_FAILED = _rule("LSM906", "probe-failed", "warning", "A probe could not be run.")


def validate(codes: Iterable[str]) -> None:
    """Check that these are codes of rules, or their beginnings.

    Raises:
        ValueError: for one that no rule has.
    """
    for code in codes:
        known = isinstance(code, str) and code and any(rule.startswith(code) for rule in RULES)
        if not known:
            raise ValueError(f"No rule is called {code!r}; rules are LSM101, LSM102, ...")


def finding(
    rule: Rule,
    message: str,
    evidence: Evidence | None = None,
    *,
    consequence: str = "",
    remedy: str = "",
    severity: Severity | None = None,
    about: str = "",
) -> Finding:
    """Make a finding of `rule`, with the rule's severity unless another is given."""
    backends = () if evidence is None else (evidence.backend,)
    return Finding(
        rule,
        message,
        evidence,
        consequence,
        remedy,
        backends,
        severity=severity or rule.default_severity,
        about=about,
    )
