"""Where batches come from: arrays, pandas objects, lists, generators, PyDatasets."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import keras as real_keras
import numpy as np
import pandas as pd
import pytest

from graphkeras.errors import DataError, DataTypeError
from graphkeras.training.data import (
    Batch,
    Epochs,
    adapter_for,
    class_weights,
    split_validation,
    unpack,
)
from graphkeras.utils import PyDataset

X = np.arange(20, dtype=np.float32).reshape(10, 2)
Y = np.arange(10)


class Squares(PyDataset):
    """Batch `i` is `x = [[i]]`, `y = [i * i]`."""

    def __init__(self, count: int = 5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.count = count
        self.begun = self.ended = 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return np.array([[float(index)]]), np.array([index * index])

    def on_epoch_begin(self) -> None:
        self.begun += 1

    def on_epoch_end(self) -> None:
        self.ended += 1


def epoch(epochs: Epochs) -> list[Batch]:
    return [
        Batch(*(None if part is None else np.copy(part) for part in batch))
        for _, group in epochs.epoch()
        for batch in group
    ]


def test_arrays_are_cut_in_order_and_the_last_batch_is_smaller() -> None:
    adapter = adapter_for(X, Y, batch_size=4)
    assert (adapter.num_batches, adapter.num_samples) == (3, 10)
    batches = epoch(Epochs(adapter))
    assert [len(b.x) for b in batches] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([b.x for b in batches]), X)
    np.testing.assert_array_equal(np.concatenate([b.y for b in batches]), Y)


def test_default_batch_size_is_32_or_what_the_steps_need() -> None:
    data = np.zeros((100, 1))
    assert adapter_for(data).num_batches == 4
    assert adapter_for(data, steps=3).num_batches == 3
    assert len(adapter_for(data, steps=3).first().x) == 34


def test_unshuffled_batches_are_views() -> None:
    (first, *_) = adapter_for(X, batch_size=4).batches()
    assert np.shares_memory(first.x, X)


@pytest.mark.parametrize("shuffle", [True, "batch"])
def test_shuffling_follows_numpys_seed_as_in_keras(shuffle: bool | str) -> None:
    from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

    np.random.seed(7)
    theirs = ArrayDataAdapter(X, Y, batch_size=4, shuffle=shuffle).get_numpy_iterator()
    expected = [(np.copy(x), np.copy(y)) for x, y in theirs]
    np.random.seed(7)
    ours = epoch(Epochs(adapter_for(X, Y, batch_size=4, shuffle=shuffle)))
    for (x, y), batch in zip(expected, ours, strict=True):
        np.testing.assert_array_equal(batch.x, x)
        np.testing.assert_array_equal(batch.y, y)


def test_shuffled_epochs_reuse_their_buffers() -> None:
    x = np.random.default_rng(0).normal(size=(4096, 256)).astype(np.float32)
    epochs = Epochs(adapter_for(x, batch_size=64, shuffle=True))
    for _ in epochs.epoch():
        pass
    tracemalloc.start()
    for _ in range(3):
        for _, group in epochs.epoch():
            for _ in group:
                pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < x.nbytes / 10


def test_structures_of_arrays_keep_their_structure() -> None:
    adapter = adapter_for({"b": X, "a": [X, X]}, (Y, Y), batch_size=6, shuffle=True)
    batch = next(adapter.batches())
    assert set(batch.x) == {"a", "b"}
    assert isinstance(batch.x["a"], list)
    assert isinstance(batch.y, tuple)
    np.testing.assert_array_equal(batch.x["a"][1], batch.x["b"])
    np.testing.assert_array_equal(batch.x["b"][:, 0], batch.y[0] * 2)


def test_a_list_of_one_array_stays_a_list() -> None:
    assert isinstance(adapter_for([X], Y).first().x, list)


def test_pandas_and_lists_of_numbers() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4, 5, 6]})
    batch = adapter_for(frame, pd.Series([0, 1, 0])).first()
    np.testing.assert_array_equal(batch.x, [[1, 4], [2, 5], [3, 6]])
    np.testing.assert_array_equal(batch.y, [0, 1, 0])
    batch = adapter_for([[1, 2], [3, 4]], [0, 1]).first()
    np.testing.assert_array_equal(batch.x, [[1, 2], [3, 4]])
    np.testing.assert_array_equal(batch.y, [0, 1])


def test_objects_with_array_protocol() -> None:
    class Tensor:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return X

    np.testing.assert_array_equal(adapter_for(Tensor(), Y).first().x, X)


def test_text_is_refused_with_its_column() -> None:
    frame = pd.DataFrame({"age": [1.0, 2.0], "city": ["Rome", "Oslo"]})
    with pytest.raises(DataTypeError, match=r"x: columns 'city' \(.+\) of the DataFrame"):
        adapter_for(frame, [0, 1])
    with pytest.raises(ValueError, match=r"y has dtype <U3.*Its first value is np.str_\('cat'\)"):
        adapter_for(X[:2], np.array(["cat", "dog"]))
    with pytest.raises(TypeError, match="x has dtype object"):
        adapter_for(np.array([{}, {}]))


def test_unequal_lengths_are_listed() -> None:
    with pytest.raises(DataError) as info:
        adapter_for([X, X[:4]], Y)
    assert "same number of samples" in str(info.value)
    assert "x: 10, 4" in str(info.value)
    assert "y: 10" in str(info.value)


def test_empty_and_missing_data() -> None:
    with pytest.raises(DataError, match="the data are empty: x has 0 samples"):
        adapter_for(np.zeros((0, 3)), np.zeros((0,)))
    with pytest.raises(DataError, match="`x` is None"):
        adapter_for(None)
    with pytest.raises(DataError, match="x of type str is no data"):
        adapter_for("data.csv")
    with pytest.raises(DataError, match="x is a single number"):
        adapter_for(np.float32(1.0))


@pytest.mark.parametrize("size", [0.5, -1, True])
def test_bad_batch_sizes(size: Any) -> None:
    with pytest.raises(DataError, match="batch_size must be a whole number"):
        adapter_for(X, batch_size=size)


def test_class_weights_are_those_of_keras() -> None:
    from keras.src.trainers.data_adapters.data_adapter_utils import class_weight_to_sample_weights

    weights = {0: 0.5, 2: 3.0}
    labels = np.array([0, 1, 2, 2, 0])
    one_hot = real_keras.utils.to_categorical(labels)
    for y in (labels, labels[:, None], one_hot, labels.astype(np.float32)):
        expected = class_weight_to_sample_weights(y, weights)
        np.testing.assert_array_equal(class_weights(y, weights), expected)


def test_weights_in_the_wrong_place() -> None:
    with pytest.raises(DataError, match="class_weight or sample_weight, not both"):
        adapter_for(X, Y, np.ones(10), class_weight={0: 1.0})
    with pytest.raises(DataError, match="one output only"):
        adapter_for(X, [Y, Y], class_weight={0: 1.0})
    with pytest.raises(DataError, match="expected 2, received 3"):
        adapter_for(X, [Y, Y], [np.ones(10)] * 3)
    with pytest.raises(DataError, match=r"expected shape \(samples,\), received \(10, 4\)"):
        adapter_for(X, [Y, Y], np.ones((10, 4)))


def test_one_weight_array_serves_all_outputs() -> None:
    batch = adapter_for(X, {"a": Y, "b": Y}, np.ones(10)).first()
    assert set(batch.sample_weight) == {"a", "b"}


def test_validation_split_takes_the_end() -> None:
    train, validation = split_validation(Batch(X, {"a": Y}, None), 0.3)
    np.testing.assert_array_equal(train.x, X[:7])
    np.testing.assert_array_equal(validation.y["a"], Y[7:])
    assert validation.sample_weight is None
    with pytest.raises(DataError, match="of 10 samples leaves no training data"):
        split_validation(Batch(X, Y), 0.999)
    with pytest.raises(DataError, match="of 10 samples leaves no validation data"):
        split_validation(Batch(X, Y), 1e-20)
    with pytest.raises(DataError, match="between 0 and 1"):
        split_validation(Batch(X, Y), 1.5)


def test_generators_continue_and_end() -> None:
    def numbers() -> Iterator[Any]:
        for i in range(5):
            yield np.full((1, 1), i), np.array([i])

    epochs = Epochs(adapter_for(numbers()), steps=2)
    assert epochs.num_batches == 2
    assert [b.y[0] for b in epoch(epochs)] == [0, 1]
    assert [b.y[0] for b in epoch(epochs)] == [2, 3]
    with pytest.warns(UserWarning, match="ran out of data; .* has 1 of 2 steps"):
        assert [b.y[0] for b in epoch(epochs)] == [4]
    assert epochs.exhausted


def test_a_generator_without_steps_is_one_epoch() -> None:
    epochs = Epochs(adapter_for((np.ones((2, 3)),) for _ in range(3)))
    assert epochs.num_batches is None
    assert len(epoch(epochs)) == 3
    assert epochs.exhausted


def test_bad_generators() -> None:
    with pytest.raises(DataError, match="the generator is empty"):
        adapter_for(_ for _ in ())
    with pytest.raises(DataError, match=r"generator: a batch must be .* a tuple of 4 items"):
        adapter_for((X, Y, Y, Y) for _ in range(2))
    with pytest.raises(DataError, match="generator: x, y and sample_weight must have the same"):
        adapter_for((X, Y[:3]) for _ in range(2))
    with pytest.raises(DataError, match="`y` must not be passed"):
        adapter_for(((X, Y) for _ in range(2)), Y)
    with pytest.raises(DataError, match="class_weight does not work with a generator"):
        adapter_for(((X, Y) for _ in range(2)), class_weight={0: 1.0})


def test_iterables_start_again() -> None:
    class Loader:
        def __len__(self) -> int:
            return 2

        def __iter__(self) -> Iterator[Any]:
            return iter([(X, Y), (X + 1, Y)])

    epochs = Epochs(adapter_for(Loader()))
    assert epochs.num_batches == 2
    for _ in range(2):
        assert [b.x[0, 0] for b in epoch(epochs)] == [0, 1]
    assert not epochs.exhausted


def test_steps_cut_arrays_across_epochs() -> None:
    epochs = Epochs(adapter_for(X, Y, batch_size=2), steps=2)
    assert [b.y[0] for b in epoch(epochs)] == [0, 2]
    assert [b.y[0] for b in epoch(epochs)] == [4, 6]
    with pytest.warns(UserWarning, match="ran out of data; .* has 1 of 2 steps"):
        assert [b.y[0] for b in epoch(epochs)] == [8]
    assert [b.y[0] for b in epoch(epochs)] == [0, 2]


def test_steps_that_divide_the_data_start_again_silently(recwarn: pytest.WarningsRecorder) -> None:
    epochs = Epochs(adapter_for(X, Y, batch_size=5), steps=1)
    assert [epoch(epochs)[0].y[0] for _ in range(5)] == [0, 5, 0, 5, 0]
    assert not recwarn.list


def test_groups_of_batches() -> None:
    epochs = Epochs(adapter_for(X, Y, batch_size=2), steps_per_execution=2)
    groups = [(step, [int(b.y[0]) for b in group]) for step, group in epochs.epoch()]
    assert groups == [(0, [0, 2]), (2, [4, 6]), (4, [8])]
    with pytest.raises(DataError, match="steps_per_execution must be 1 or more"):
        Epochs(adapter_for(X), steps_per_execution=0)
    with pytest.raises(DataError, match="number of steps must be 1 or more"):
        Epochs(adapter_for(X), steps=0)


@pytest.mark.parametrize(
    "options",
    [{}, {"workers": 3, "max_queue_size": 2}, {"workers": 2, "use_multiprocessing": True}],
)
def test_py_dataset_comes_in_order(options: dict[str, Any]) -> None:
    data = Squares(**options)
    epochs = Epochs(adapter_for(data))
    assert epochs.num_batches == 5
    for _ in range(2):
        assert [int(b.y[0]) for b in epoch(epochs)] == [0, 1, 4, 9, 16]
    assert (data.begun, data.ended) == (2, 2)


def test_py_dataset_shuffles_batches_by_pythons_seed() -> None:
    import random

    random.seed(3)
    order = list(range(5))
    random.shuffle(order)
    random.seed(3)
    found = [int(b.x[0, 0]) for b in epoch(Epochs(adapter_for(Squares(), shuffle=True)))]
    assert found == order


def test_py_dataset_workers_stop_when_training_is_interrupted() -> None:
    epochs = Epochs(adapter_for(Squares(1000, workers=2)))
    before = threading.active_count()
    for _, group in epochs.epoch():
        next(iter(group))
        break
    assert threading.active_count() > before
    epochs.close()
    time.sleep(0.05)
    assert threading.active_count() == before


def test_py_dataset_errors() -> None:
    with pytest.raises(DataError, match="Squares is empty"):
        adapter_for(Squares(0))
    with pytest.raises(NotImplementedError, match="must implement `__len__`"):
        adapter_for(PyDataset())
    with pytest.raises(DataError, match="`sample_weight` must not be passed"):
        adapter_for(Squares(), sample_weight=Y)


def test_py_dataset_class_weight() -> None:
    batch = adapter_for(Squares(), class_weight={0: 5.0}).first()
    np.testing.assert_array_equal(batch.sample_weight, [5.0])


def test_endless_py_dataset() -> None:
    class Endless(PyDataset):
        num_batches = None  # type: ignore[assignment]  # the documented way to be endless

        def __getitem__(self, index: int) -> Any:
            return (np.full((1, 1), index),)

    epochs = Epochs(adapter_for(Endless(workers=2)), steps=3)
    assert [int(b.x[0, 0]) for b in epoch(epochs)] == [0, 1, 2]
    assert [int(b.x[0, 0]) for b in epoch(epochs)] == [3, 4, 5]
    epochs.close()


def test_unpack() -> None:
    assert unpack(X).x is X
    assert unpack((X,)).y is None
    assert unpack([X, Y]).y is Y
