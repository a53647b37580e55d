"""Speed and memory of imsmediasec, each figure beside a peer measured in the same run. See README.md."""
