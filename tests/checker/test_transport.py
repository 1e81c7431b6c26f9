import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from lossmith.checker.transport import NotTransportableError, pack, unpack

pytestmark = pytest.mark.backend_free


class Unconfigured(keras.losses.Loss):
    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return self.scale * keras.ops.abs(y_true - y_pred)


def test_attributes_travel_although_the_config_lacks_them() -> None:
    assert unpack(pack(Unconfigured(scale=4.0))).scale == 4.0
    huber = unpack(pack(keras.losses.Huber(delta=3.0)))
    y_true, y_pred = np.float32([[0.0]]), np.float32([[2.0]])
    assert float(huber(y_true, y_pred)) == pytest.approx(2.0)


def test_what_cannot_travel_is_refused() -> None:
    lock = threading.Lock()

    def locked(y_true: Any, y_pred: Any) -> Any:
        with lock:
            return y_true - y_pred

    with pytest.raises(NotTransportableError, match="cannot be sent"):
        pack(locked)


def test_a_loss_of_a_script_reaches_a_process_without_the_script(
    tmp_path: Path, fresh_process: Callable[..., Any]
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        """
import sys
import keras
import lossmith as ls
from lossmith.checker.transport import pack
class Scaled(ls.Loss):
    scale: ls.Positive = 1.0
    def call(self, y_true, y_pred):
        return self.scale * keras.ops.abs(y_true - y_pred)
def make(power):
    def powered(y_true, y_pred):
        return keras.ops.abs(y_true - y_pred) ** power
    return powered
def make_lifted(width):
    lift = 2.0 * width
    def lifted(y_true, y_pred):
        return keras.ops.abs(y_true - y_pred) * width + lift
    return lifted
losses = {"scaled": Scaled(scale=4.0), "powered": make(3), "lifted": make_lifted(1.0)}
for name, loss in losses.items():
    open(name, "wb").write(pack(loss))
""",
        encoding="utf-8",
    )
    path = {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    environment = os.environ | path
    subprocess.run([sys.executable, str(script)], cwd=tmp_path, env=environment, check=True)
    values = fresh_process(
        """
        import json, pathlib
        import keras
        import numpy as np
        from lossmith.checker.hyperparameters import hyperparameters, rebuild
        from lossmith.checker.transport import unpack
        import inspect
        lifted = unpack(pathlib.Path("lifted").read_bytes())
        assert hyperparameters(lifted) == {"width": 1.0}
        assert "* width + lift" in inspect.getsource(lifted)
        wider = rebuild(lifted, width=3.0)
        assert hyperparameters(wider) == {"width": 3.0}
        losses = [unpack(pathlib.Path(name).read_bytes()) for name in ("scaled", "powered")]
        y_true, y_pred = (keras.ops.convert_to_tensor([[x]], "float32") for x in (0.0, 2.0))
        losses.append(wider)
        print(json.dumps([float(keras.ops.mean(loss(y_true, y_pred))) for loss in losses]))
        """
    )
    assert values == pytest.approx([8.0, 8.0, 12.0])
