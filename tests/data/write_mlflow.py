"""Writes a store of MLflow with MLflow itself to the address that it is given; README.md says with which version."""

import contextlib
import sys

import mlflow

RUNS = [(0.1, "mlp"), (0.01, "cnn"), (0.001, "mlp")]

if __name__ == "__main__":
    mlflow.set_tracking_uri(sys.argv[1])
    mlflow.set_experiment("nets")
    for number, (rate, kind) in enumerate(RUNS):
        with contextlib.suppress(ValueError), mlflow.start_run(run_name=f"run-{number}"):
            mlflow.log_params({"lr": rate, "kind": kind, "layers": number + 1})
            for epoch in range(3):
                mlflow.log_metric("accuracy", 0.5 + 0.1 * epoch * rate, step=epoch)
                loss = float("nan") if number == 1 and epoch == 2 else 1 / (epoch + 1)
                mlflow.log_metric("loss", loss, step=epoch)
            mlflow.set_tag("mlflow.note.content", "a naïve note")
            mlflow.set_tag("team", "blue")
            if number == 2:
                raise ValueError("broke")
