from pathlib import Path

import numpy as np
import pytest

from videomm.training.shards import cached_shards


def test_a_stopped_run_computes_only_what_is_missing(tmp_path: Path) -> None:
    asked: list[range] = []

    def make(rows: range) -> np.ndarray:
        if rows.start == 6 and len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(rows)
        return np.array([[row, row / 3] for row in rows])

    name = tmp_path / "seen" / "{:06d}_8.npy"
    with pytest.raises(KeyboardInterrupt):
        cached_shards("seen", 8, 3, name, make)
    asked.append(range(0))
    given = cached_shards("seen", 8, 3, name, make)
    assert asked == [range(3), range(3, 6), range(0), range(6, 8)]
    assert given.dtype == np.float16
    np.testing.assert_array_equal(given, np.float16([[row, row / 3] for row in range(8)]))
    files = sorted(path.name for path in name.parent.iterdir())
    assert files == ["000000_8.npy", "000003_8.npy", "000006_8.npy"]
