"""Ten trainings of one configuration as PyTorch's tutorials write them, but on tensors that are sliced: no data loader."""

import argparse
import json
import statistics

import torch
from torch import nn

from evenhand.tasks.builtin import points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    data = points.locate("10", options.scale)
    parts = [data.part(split) for split in ("train", "dev")]
    x = torch.cat([torch.tensor(points, dtype=torch.float32) for points, _ in parts])
    y = torch.cat([torch.tensor(labels, dtype=torch.int64) for _, labels in parts])
    test_points, test_labels = data.part("eval")
    test_x, test_y = torch.tensor(test_points, dtype=torch.float32), torch.tensor(test_labels, dtype=torch.int64)
    accuracies = []
    for seed in range(10):
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 2)
        )
        optimizer = torch.optim.Adam(network.parameters(), lr=0.001)
        loss_of = nn.CrossEntropyLoss()
        for _ in range(options.epochs):
            order = torch.randperm(len(x))
            for rows in order.split(options.batch):
                optimizer.zero_grad()
                loss_of(network(x[rows]), y[rows]).backward()
                optimizer.step()
        with torch.no_grad():
            accuracies.append((network(test_x).argmax(1) == test_y).float().mean().item())
    print(json.dumps({"seeds": len(accuracies), "accuracy": statistics.mean(accuracies)}))


if __name__ == "__main__":
    main()
