"""Search with Optuna: one training a trial, pruned by epoch, by many workers."""

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from sweeping.candidates import VALIDATION, X, Y, fit, linear, raised, steep

import lossmith as ls
from lossmith.sweeping import Objective, Run, open_study

optuna.logging.set_verbosity(optuna.logging.ERROR)
huber = ls.losses.huber
TESTS = Path(__file__).resolve().parent.parent
SPACE = {"threshold": FloatDistribution(0.1, 10.0, log=True)}


def objective(loss=huber, space=SPACE, **arguments):
    given = {"validation_data": VALIDATION, "metric": "mae", "epochs": 2, "batch_size": 16}
    return Objective(linear, loss, space, X, Y, **{**given, **arguments})


@pytest.mark.filterwarnings("error:.*(deprecated|experimental)")
def test_a_trial_is_the_training_that_fit_makes(tmp_path):
    wanted = objective()
    study = open_study(f"sqlite:///{tmp_path}/study.db", "thresholds", wanted)
    for threshold in (0.5, 4.0):
        study.enqueue_trial({"threshold": threshold})
    study.optimize(wanted, n_trials=2)
    for trial in study.trials:
        fixed = huber(threshold=trial.params["threshold"])
        _, history = fit(linear, fixed, Run(trial.params, 0, 0), epochs=2)
        assert trial.value == pytest.approx(history["val_mae"][-1], rel=1e-4)
        reported = [trial.intermediate_values[epoch] for epoch in range(2)]
        np.testing.assert_allclose(reported, history["val_mae"], rtol=1e-4)
    model = wanted.model(study.best_params)
    assert model.loss == huber(**study.best_params)
    found = model.evaluate(*VALIDATION, return_dict=True, verbose=0)
    assert found["mae"] == pytest.approx(study.best_value, rel=1e-4)


def test_all_kinds_of_distributions():
    space = {
        "base.threshold": FloatDistribution(0.5, 2.0, step=0.5),
        "power": IntDistribution(1, 2),
        "sign": CategoricalDistribution(["kept", "turned"]),
    }
    wanted = objective(raised, space, epochs=1)
    params = {"base.threshold": 1.5, "power": 2, "sign": "kept"}
    value = wanted(optuna.trial.FixedTrial(params))
    fixed = raised(base=huber(threshold=1.5), power=2)
    _, history = fit(linear, fixed, Run(params, 0, 0), epochs=1)
    assert value == pytest.approx(history["val_mae"][0], rel=1e-4)


def test_threads_wait_for_each_other():
    wanted = objective(epochs=3)
    study = optuna.create_study()
    thresholds = [0.1, 0.5, 2.0, 8.0]
    for threshold in thresholds:
        study.enqueue_trial({"threshold": threshold})
    study.optimize(wanted, n_trials=4, n_jobs=2)
    for trial in study.trials:
        alone = wanted(optuna.trial.FixedTrial(trial.params))
        assert trial.value == pytest.approx(alone, rel=1e-5)
    assert sorted(trial.params["threshold"] for trial in study.trials) == thresholds


class AfterFirstEpoch(optuna.pruners.BasePruner):
    def prune(self, study, trial):
        return trial.last_step == 0


def test_pruned_and_diverged_trials_end():
    wanted = objective(steep, {"slope": FloatDistribution(0.5, 1e30)}, epochs=3)
    study = optuna.create_study(pruner=AfterFirstEpoch())
    study.enqueue_trial({"slope": 1.0})
    study.optimize(wanted, n_trials=1)
    study.pruner = optuna.pruners.NopPruner()
    study.enqueue_trial({"slope": 1e30})
    study.enqueue_trial({"slope": 0.5})
    study.optimize(wanted, n_trials=2)
    assert [trial.state.name for trial in study.trials] == ["PRUNED", "PRUNED", "COMPLETE"]
    assert list(study.trials[0].intermediate_values) == [0]
    assert all(math.isfinite(each) for each in study.trials[1].intermediate_values.values())
    with pytest.raises(ValueError, match="diverges"):
        wanted.model({"slope": 1e30})


@pytest.mark.parametrize(
    ("space", "error", "words"),
    [
        ({}, ValueError, "nothing to search"),
        ({"threshold": (0.1, 1.0)}, TypeError, "distribution of Optuna"),
        ({"treshold": FloatDistribution(0.1, 1.0)}, TypeError, "no hyperparameter `treshold`"),
        ({"threshold": FloatDistribution(-1.0, 1.0)}, ValueError, "threshold"),
    ],
)
def test_bad_spaces(space, error, words):
    with pytest.raises(error, match=words):
        objective(space=space)


def test_searching_by_the_loss_itself_is_refused():
    with pytest.raises(ValueError, match="cannot be ranked by huber itself"):
        objective(metric="loss")


WORKER = """
import pathlib, sys, time
from sweeping.test_search import objective, open_study

wanted = objective(epochs=3)
study = open_study(sys.argv[1], "shared", wanted)
hangs = sys.argv[2] == "hang"


def train(trial):
    if hangs and study.trials[0].state.name == "COMPLETE":
        report = trial.report

        def report_and_hang(value, epoch):
            report(value, epoch)
            pathlib.Path(sys.argv[3]).touch()
            time.sleep(600)

        trial.report = report_and_hang
    return wanted(trial)


study.optimize(train, n_trials=3)
"""


def worker(*arguments):
    paths = os.pathsep.join([str(TESTS.parent / "src"), str(TESTS)])
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": paths},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def test_two_workers_share_a_study_and_one_is_killed(tmp_path):
    """It dies in the middle of its second trial; the other goes on with what both have found."""
    journal, flag = tmp_path / "study.journal", tmp_path / "hangs"
    wanted = objective(epochs=3)
    open_study(journal, "shared", wanted)
    doomed = worker(journal, "hang", flag)
    try:
        while not flag.exists():
            assert doomed.poll() is None, doomed.stderr.read().decode()
            time.sleep(0.05)
        other = worker(journal, "go on", flag)
        _, errors = other.communicate()
        assert doomed.poll() is None
    finally:
        doomed.send_signal(signal.SIGKILL)
        doomed.communicate()
    assert other.returncode == 0, errors.decode()
    study = open_study(journal, "shared", wanted)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "RUNNING"] + [
        "COMPLETE"
    ] * 3
    assert len({trial.params["threshold"] for trial in study.trials}) == 5
    study.optimize(wanted, n_trials=1)
    assert study.trials[-1].state.name == "COMPLETE"
    best = study.best_trial
    _, history = fit(linear, huber(**best.params), Run(best.params, 0, 0), epochs=3)
    assert best.value == pytest.approx(history["val_mae"][-1], rel=1e-4)
