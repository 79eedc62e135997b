"""Write a sample of the default data: python sample.py IN OUT ROWS [shuffle].

Takes every n-th mail, so that both labels and all origins are in it, in the
order of the file. With "shuffle" the labels are permuted, which leaves nothing
to learn.
"""

from __future__ import annotations

import random
import sys

import pyarrow.parquet as pq


def main(source: str, target: str, rows: int, *, shuffle: bool) -> None:
    """Write ``rows`` rows of ``source`` to ``target``, labels shuffled on demand."""
    table = pq.read_table(source)
    picked = table.take([i * table.num_rows // rows for i in range(rows)])
    if shuffle:
        labels = picked.column("label").to_pylist()
        random.Random(7).shuffle(labels)  # noqa: S311 - the same order each time, no secret
        index = picked.schema.get_field_index("label")
        picked = picked.set_column(index, picked.schema.field(index), [labels])
    pq.write_table(picked, target, compression="zstd", row_group_size=250)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), shuffle="shuffle" in sys.argv[4:])
