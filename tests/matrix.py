"""Gives each kind of input to each function that takes such inputs.

Each must give the right result, or end in an error of the package. `python -m
tests.matrix` writes what happens into the tables of `docs/entrances.md`, and
`tests/matrix_test.py` compares them with what happens, cell by cell.
"""

import collections
import dataclasses
import functools
import os
import pathlib
import re
import sys
import tempfile
import warnings

import keras
import ml_dtypes
import numpy as np
import tensorflow as tf

import keras_sat
from tests.test_case import available

PAGE = pathlib.Path(__file__).parent.parent / "docs" / "entrances.md"
SHAPE, CLASSES = (4, 4, 1), 5
PGD = keras_sat.PGD(epsilon=0.1, step_size=0.05, steps=2)
SHORT = keras_sat.PGD(epsilon=0.1, step_size=0.1, steps=1, random_start=False)


def network(head=CLASSES, **kwargs):
    """Returns a linear classifier, whose results are known to the last bit."""
    inputs = keras.Input(SHAPE, **kwargs)
    x = keras.layers.Flatten()(inputs)
    dense = keras.layers.Dense(head, name="logits")
    model = keras.Model(inputs, dense(x))
    dense.set_weights(
        [np.linspace(-1, 1, 16 * head).reshape(16, head), 0 * np.ones(head)]
    )
    return model


def arrays(count=12):
    """Returns float images in the range, and int32 labels."""
    generator = np.random.default_rng(0)
    images = generator.uniform(size=(count, *SHAPE)).astype("float32")
    return images, generator.integers(CLASSES, size=count).astype("int32")


@dataclasses.dataclass
class Given:
    """The data of a row, as arrays and as a dataset.

    Args:
        images, labels, weights: arrays. A dataset is made of them in batches
            of 4, so that a fault of the last image is in the last batch.
        dataset: a dataset to use instead of that one.
        same: bool. Whether each result must be that of plain arrays.
        numeric: bool. Whether results are the same up to rounding only.
    """

    images: object = None
    labels: object = None
    weights: object = None
    dataset: object = None
    same: bool = True
    numeric: bool = False

    def batches(self):
        if self.dataset is not None:
            return self.dataset
        parts = [self.images, self.labels, self.weights]
        parts = tuple(part for part in parts if part is not None)
        return tf.data.Dataset.from_tensor_slices(parts).batch(4)


@functools.cache
def trained():
    """Returns the `SATModel` that all rows share."""
    keras.utils.set_random_seed(0)
    model = keras_sat.SATModel(network(), attack=PGD, eval_attack=PGD)
    model.build_optimizer()
    return model


@functools.cache
def first_values():
    """Returns the values of all variables before any training."""
    return [np.array(variable) for variable in variables(trained())]


def variables(model):
    """Returns the variables of a model and of its optimizer."""
    return [*model.variables, *model.optimizer.variables]


@functools.cache
def folder():
    """Returns a folder for files."""
    return tempfile.mkdtemp()


def fresh():
    """Returns the shared model, with its first weights and seeds."""
    model = trained()
    for variable, value in zip(variables(model), first_values(), strict=True):
        variable.assign(value)
    model.seeds.state.assign([1, 0])
    model.eval_seeds.state.assign([2, 0])
    return model


def plain():
    """Returns a dataset without faults."""
    images, labels = arrays()
    return tf.data.Dataset.from_tensor_slices((images, labels)).batch(4)


def weights_after(model):
    """Returns the kernel of the network after training."""
    return np.asarray(model.model.get_layer("logits").kernel)


# Entrances for data. Each takes `Given` and returns a result as numbers.


def fit_arrays(given):
    model = fresh()
    model.fit(
        given.images,
        given.labels,
        sample_weight=given.weights,
        verbose=0,
        batch_size=4,
        shuffle=False,
    )
    return weights_after(model)


def fit_dataset(given):
    model = fresh()
    model.fit(given.batches(), verbose=0)
    return weights_after(model)


def validation_data(given):
    history = fresh().fit(plain(), validation_data=given.batches(), verbose=0)
    return history.history["val_loss"]


def evaluate(given):
    return fresh().evaluate(given.batches(), verbose=0)


def predict(given):
    return fresh().predict(given.batches(), verbose=0)


def train_on_batch(given):
    model = fresh()
    model.train_on_batch(given.images, given.labels, given.weights)
    return weights_after(model)


def test_on_batch(given):
    return fresh().test_on_batch(given.images, given.labels, given.weights)


def attacked(attack, given):
    keras.utils.set_random_seed(0)
    return attack(fresh().model, given.images, given.labels, seed=(1, 2))


def evaluate_robustness(given):
    report = keras_sat.evaluate_robustness(
        fresh().model, given.batches(), PGD, diagnose=False, verbose=0
    )
    return report.outcomes


def robustness_curve(given):
    curve = keras_sat.robustness_curve(
        fresh().model, given.batches(), [0, 0.1], PGD, verbose=0
    )
    return list(curve.values())


def convergence_curve(given):
    curve = keras_sat.convergence_curve(
        fresh().model, given.batches(), steps=[1], epsilon=0.1, verbose=0
    )
    return list(curve.values())


def callbacks_standard(given):
    model = fresh()
    keras.utils.set_random_seed(0)
    with tempfile.TemporaryDirectory() as directory:
        data = given.batches()
        chosen = keras_sat.callbacks.standard(model, directory, data)
        model.fit(plain(), validation_data=data, callbacks=chosen, verbose=0)
    return weights_after(model)


def adversarial_images(given):
    model = fresh()
    with tempfile.TemporaryDirectory() as directory:
        drawn = keras_sat.callbacks.AdversarialImages(
            given.batches(), directory
        )
        model.fit(plain(), callbacks=[drawn], verbose=0)
    return weights_after(model)


def catastrophic_overfitting(given):
    probe = keras_sat.callbacks.CatastrophicOverfitting(given.batches())
    probe.set_model(fresh())
    probe.on_train_begin()
    logs = {}
    probe.on_epoch_end(0, logs)
    return list(logs.values())


DATA_ENTRANCES = {
    "fit (arrays)": fit_arrays,
    "fit (dataset)": fit_dataset,
    "validation_data": validation_data,
    "evaluate": evaluate,
    "predict": predict,
    "train_on_batch": train_on_batch,
    "test_on_batch": test_on_batch,
    "PGD": functools.partial(attacked, SHORT.replace(steps=2)),
    "APGD": functools.partial(attacked, keras_sat.APGD(steps=2)),
    "FAB": functools.partial(attacked, keras_sat.FAB(steps=2)),
    "Square": functools.partial(attacked, keras_sat.Square(queries=3)),
    "AutoAttack": functools.partial(
        attacked, keras_sat.AutoAttack(attacks=(SHORT,))
    ),
    "evaluate_robustness": evaluate_robustness,
    "robustness_curve": robustness_curve,
    "convergence_curve": convergence_curve,
    "callbacks.standard": callbacks_standard,
    "AdversarialImages": adversarial_images,
    "CatastrophicOverfitting": catastrophic_overfitting,
}
# These take arrays only. The other entrances are given datasets only.
ARRAYS_ONLY = {
    "fit (arrays)",
    "train_on_batch",
    "test_on_batch",
    "PGD",
    "APGD",
    "FAB",
    "Square",
    "AutoAttack",
}


def changed(what, index, value):
    """Returns data with another value in one place."""
    given = dict(zip(("images", "labels"), arrays(), strict=True))
    given[what] = given[what].copy()
    given[what][index] = value
    return Given(**given)


def smoothed(labels):
    return 0.9 * np.eye(CLASSES)[labels] + 0.1 / CLASSES


def data_rows():
    """Returns the data of each row, by its description."""
    return accepted_data() | faulty_data()


def accepted_data():
    """Returns data that every entrance should take."""
    images, labels = arrays()
    one_hot = np.eye(CLASSES)[labels]
    unknown = tf.data.Dataset.from_generator(
        lambda: iter(
            [(images[i : i + 4], labels[i : i + 4]) for i in (0, 4, 8)]
        ),
        output_signature=(tf.TensorSpec(None), tf.TensorSpec(None, tf.int32)),
    )
    return {
        "labels uint8": Given(images, labels.astype("uint8")),
        "labels uint64": Given(images, labels.astype("uint64")),
        "labels int8, a column": Given(images, labels.astype("int8")[:, None]),
        "one-hot, integers": Given(
            images, one_hot.astype("int64"), numeric=True
        ),
        "one-hot, float64": Given(images, one_hot, numeric=True),
        "probabilities, bfloat16": Given(
            images, smoothed(labels).astype(ml_dtypes.bfloat16), same=False
        ),
        "weights, a column": Given(
            images, labels, np.ones((12, 1), "float32"), numeric=True
        ),
        "images float64": Given(images.astype("float64"), labels),
        "images float16": Given(images.astype("float16"), labels, same=False),
        "images uint8": Given(
            (255 * images).astype("uint8"), labels, same=False
        ),
        "shapes unknown": Given(dataset=unknown),
    }


def faulty_data():
    """Returns data with something wrong, which most entrances refuse."""
    images, labels = arrays()
    one_hot = np.eye(CLASSES)[labels]
    other_size = tf.data.Dataset.from_generator(
        lambda: iter([(images[:4], labels[:4]), (images[:4, :3], labels[:4])]),
        output_signature=(
            tf.TensorSpec((None, None, 4, 1)),
            tf.TensorSpec((None,), tf.int32),
        ),
    )
    keyed = tf.data.Dataset.from_tensor_slices(
        {"image": images, "label": labels, "id": labels}
    ).batch(4)
    return {
        "last image NaN": changed("images", -1, np.nan),
        "last image infinite": changed("images", -1, np.inf),
        "last image 0..255": changed("images", -1, 255.0),
        "last image normalized": changed("images", -1, -2.0),
        "last label too large": changed("labels", -1, CLASSES),
        "last label negative": changed("labels", -1, -1),
        "last batch of another size": Given(dataset=other_size),
        "images int32": Given((255 * images).astype("int32"), labels),
        "images bool": Given(images > 0.5, labels),
        "images of strings": Given(images.astype("str"), labels),
        "images of rank 3": Given(images[..., 0], labels),
        "labels float": Given(images, labels.astype("float32")),
        "labels of rank 3": Given(images, one_hot[..., None]),
        "labels of 4 classes": Given(images, np.eye(4)[labels % 4]),
        "probabilities that sum to 2": Given(images, 2 * one_hot),
        "a weight NaN": Given(images, labels, np.full(12, np.nan, "float32")),
        "no labels": Given(images),
        "no images": Given(images[:0], labels[:0]),
        "a dictionary": Given(dataset=keyed),
        "an endless dataset": Given(dataset=plain().repeat()),
    }


# Entrances for networks. Each takes a network.


def construct(model):
    return keras_sat.SATModel(model, PGD, PGD).predict(arrays()[0], verbose=0)


def attack_model(model):
    outer = keras_sat.SATModel(network(), SHORT, SHORT, attack_model=model)
    outer.fit(*arrays(), verbose=0)


def call_attack(model):
    return SHORT(model, *arrays())


def call_ensemble(model):
    return keras_sat.AutoAttack(attacks=(SHORT,))(model, *arrays())


def measure(model):
    return keras_sat.evaluate_robustness(
        model, arrays(), SHORT, diagnose=False, verbose=0
    )


def measure_curve(model):
    return keras_sat.robustness_curve(model, arrays(), [0.1], SHORT, verbose=0)


def measure_convergence(model):
    return keras_sat.convergence_curve(
        model, arrays(), steps=[1], epsilon=0.1, verbose=0
    )


def convert(model):
    return keras_sat.convert_activations(model, "silu")


def sites(model):
    return keras_sat.activation_sites(model)


def export(model):
    with tempfile.TemporaryDirectory() as directory:
        keras_sat.export.saved_model(model, os.path.join(directory, "served"))


def load(model):
    """Saves a network by Keras and loads it; a function cannot be saved."""
    if not isinstance(model, keras.Model):
        return keras_sat.load_classifier(model)
    path = os.path.join(folder(), "network.keras")
    with warnings.catch_warnings():
        # Keras warns of networks that are not built.
        warnings.simplefilter("ignore")
        model.save(path)
    return measure(keras_sat.load_classifier(path))


def reload(model):
    """Saves a `SATModel` of a network, and loads that."""
    path = os.path.join(folder(), "trained.keras")
    sat_model = keras_sat.SATModel(model, SHORT, SHORT)
    sat_model.save(path)
    loaded = keras_sat.load_model(path)
    before, after = (m.predict(arrays()[0]) for m in (sat_model, loaded))
    np.testing.assert_array_equal(before, after)


NETWORK_ENTRANCES = {
    "SATModel": construct,
    "attack_model": attack_model,
    "PGD": call_attack,
    "AutoAttack": call_ensemble,
    "evaluate_robustness": measure,
    "robustness_curve": measure_curve,
    "convergence_curve": measure_convergence,
    "convert_activations": convert,
    "activation_sites": sites,
    "export": export,
    "load_classifier": load,
    "load_model": reload,
}


@keras.saving.register_keras_serializable("matrix")
class Subclassed(keras.Model):
    """A network whose layers cannot be seen from outside."""

    def __init__(self, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.flatten = keras.layers.Flatten()
        self.dense = keras.layers.Dense(CLASSES, activation)
        self.activation = activation

    def get_config(self):
        """Returns the arguments."""
        return super().get_config() | {"activation": self.activation}

    def call(self, images):
        """Returns logits, after the activation if there is one."""
        return self.dense(self.flatten(images))


def called(model):
    """Returns a subclassed model, after a call that builds it."""
    model(arrays()[0])
    return model


def ending(function, head=CLASSES):
    """Returns a network that ends in `function`."""
    base = network(head)
    return keras.Model(base.inputs, function(base.outputs[0]))


def with_layers(*layers):
    return keras.Sequential([keras.Input(SHAPE), *layers])


def of_policy(policy):
    keras.config.set_dtype_policy(available(policy))
    try:
        return network()
    finally:
        keras.config.set_dtype_policy("float32")


def quantized():
    model = network()
    model.get_layer("logits").quantize("int8")
    return model


def frozen():
    model = network()
    model.trainable = False
    return model


def two_inputs():
    inputs = [keras.Input(SHAPE), keras.Input(SHAPE)]
    x = keras.layers.Add()(inputs)
    return keras.Model(inputs, network()(x))


def with_numpy(images):
    """Returns logits, by NumPy only."""
    flat = np.asarray(images).reshape(len(images), -1)
    return flat[:, :CLASSES].astype("float32")


def with_tensorflow(images):
    """Returns logits, by operations that TensorFlow differentiates."""
    return tf.reshape(images, [-1, 16])[:, :CLASSES]


def network_rows():
    """Returns the function that builds each row's network."""
    layers, ops = keras.layers, keras.ops
    dense = functools.partial(layers.Dense, CLASSES)
    return {
        "functional": network,
        "subclassed": lambda: called(Subclassed()),
        "a TensorFlow function": lambda: with_tensorflow,
        "a NumPy function": lambda: with_numpy,
        "float16": lambda: of_policy("float16"),
        "bfloat16": lambda: of_policy("bfloat16"),
        "float64": lambda: of_policy("float64"),
        "mixed_bfloat16": lambda: of_policy("mixed_bfloat16"),
        "int8": quantized,
        "nothing trainable": frozen,
        "takes uint8": lambda: network(dtype="uint8"),
        "takes int32": lambda: network(dtype="int32"),
        "softmax activation": lambda: with_layers(
            layers.Flatten(), dense(activation="softmax")
        ),
        "Softmax layer": lambda: ending(layers.Softmax()),
        "ops.softmax": lambda: ending(ops.softmax),
        "Activation of tf.nn.softmax": lambda: ending(
            layers.Activation(tf.nn.softmax)
        ),
        "softmax, identity": lambda: ending(
            lambda x: layers.Identity()(layers.Softmax()(x))
        ),
        "nested softmax": lambda: with_layers(ending(ops.softmax)),
        "subclassed softmax": lambda: called(Subclassed("softmax")),
        "log-softmax": lambda: ending(ops.log_softmax),
        "sigmoid": lambda: ending(ops.sigmoid),
        "one output unit": lambda: network(1),
        "two outputs": lambda: ending(lambda x: [x, x]),
        "two inputs": two_inputs,
        "feature maps": lambda: with_layers(layers.Conv2D(CLASSES, 3)),
        "not built": lambda: keras.Sequential([layers.Flatten(), dense()]),
        "a SATModel": lambda: keras_sat.SATModel(network()),
        "a name": lambda: "resnet50",
        "None": lambda: None,
    }


# Entrances for attacks. Each takes an attack, or what was passed as one.


def training_attack(attack):
    keras_sat.SATModel(network(), attack).fit(*arrays(), verbose=0)


def evaluation_attack(attack):
    model = keras_sat.SATModel(network(), eval_attack=attack)
    model.evaluate(*arrays(), verbose=0)


def evaluate_against(attack):
    fresh().evaluate(*arrays(), attack=attack, verbose=0)


def measure_against(attack):
    keras_sat.evaluate_robustness(
        trained().model, arrays(), attack, diagnose=False, verbose=0
    )


def measure_curve_against(attack):
    keras_sat.robustness_curve(
        trained().model, arrays(), [0.1], attack, verbose=0
    )


def ensemble_of(attack):
    keras_sat.AutoAttack(attacks=[attack])(trained().model, *arrays())


ATTACK_ENTRANCES = {
    "SATModel(attack)": training_attack,
    "SATModel(eval_attack)": evaluation_attack,
    "evaluate(attack)": evaluate_against,
    "evaluate_robustness": measure_against,
    "robustness_curve": measure_curve_against,
    "AutoAttack(attacks)": ensemble_of,
}


def attack_rows():
    """Returns the function that makes each row's attack."""
    return {
        "PGD": lambda: SHORT,
        "PGD, targeted": lambda: SHORT.replace(targeted=True),
        "AutoAttack": lambda: keras_sat.AutoAttack(attacks=[SHORT]),
        "AutoAttack of a targeted one": lambda: keras_sat.AutoAttack(
            attacks=[SHORT.replace(targeted=True)]
        ),
        "L-infinity, epsilon 8": lambda: SHORT.replace(epsilon=8.0),
        "L-infinity, epsilon 1": lambda: SHORT.replace(epsilon=1.0),
        "L-infinity, epsilon 0": lambda: SHORT.replace(epsilon=0.0),
        "L2, epsilon 3": lambda: SHORT.replace(norm="l2", epsilon=3.0),
        "another norm": lambda: SHORT.replace(norm="l0"),
        "a name": lambda: "apgd-ce",
        "a wrong name": lambda: "pgd-10",
        "a class": lambda: keras_sat.PGD,
        "a function": lambda: with_tensorflow,
    }


TABLES = {
    "Images and labels": (DATA_ENTRANCES, data_rows),
    "Networks": (NETWORK_ENTRANCES, network_rows),
    "Attacks": (ATTACK_ENTRANCES, attack_rows),
}


@functools.cache
def rows(table):
    """Returns the rows of a table; data are made once."""
    return TABLES[table][1]()


@functools.cache
def right(entrance):
    """Returns the result of an entrance for plain data."""
    images, labels = arrays()
    return np.asarray(DATA_ENTRANCES[entrance](Given(images, labels)))


def cell(table, row, entrance):
    """Gives the input of a row to an entrance, and tells what happens.

    Returns:
        `"works"`, `"-"` if the entrance does not take such data at all, or the
        first words of an error of the package.

    Raises:
        AssertionError: If the result is wrong.
        Exception: If an error is not one of the package.
    """
    given = rows(table)[row]
    act = TABLES[table][0][entrance]
    if table != "Images and labels":
        return outcome(lambda: act(given()))
    if given.dataset is not None and entrance in ARRAYS_ONLY:
        return "-"
    result = []
    words = outcome(lambda: result.append(act(given)))
    if result:
        found = np.asarray(result[0])
        assert np.isfinite(found).all(), (row, entrance)
        if given.same:
            bound = 1e-5 if given.numeric else 0
            np.testing.assert_allclose(found, right(entrance), 0, bound)
    return words


def outcome(action):
    """Returns `"works"`, or an error's words up to what was received."""
    try:
        with warnings.catch_warnings():
            # Keras warns when data of unknown length end.
            warnings.filterwarnings("ignore", "Your input ran out of data")
            action()
    except (TypeError, ValueError) as error:
        words = re.match(r"`\w+` must .*? Received", str(error), re.DOTALL)
        if not words:
            raise
        return words[0].removesuffix(" Received")
    return "works"


def page():
    """Returns the text of the page."""
    lines = [
        "# What each entrance takes",
        "",
        "The rows are inputs, the columns functions that take such inputs. An",
        "input *works*, or it is refused by a `ValueError` or `TypeError` that",
        "begins with the words below the table. Where inputs mean the same as",
        "plain float images and integer labels, the result is the same, too.",
        "`python -m tests.matrix` writes this page, and a test compares it",
        "with what happens, cell by cell.",
    ]
    for table, (entrances, _) in TABLES.items():
        numbers = collections.OrderedDict()
        lines += ["", f"## {table}", ""]
        lines += ["| | " + " | ".join(f"`{e}`" for e in entrances) + " |"]
        lines += ["|---" * (len(entrances) + 1) + "|"]
        for row in rows(table):
            cells = []
            for entrance in entrances:
                words = cell(table, row, entrance)
                print(table, row, entrance, words, sep=" | ", file=sys.stderr)
                if words not in ("works", "-"):
                    number = numbers.setdefault(words, len(numbers) + 1)
                    words = f"[{number}]"
                cells.append(words)
            lines.append(f"| {row} | " + " | ".join(cells) + " |")
        lines += [""]
        lines += [f"{number}. {words}" for words, number in numbers.items()]
    return "\n".join(lines) + "\n"


def expected():
    """Returns the cells of the page: `{(table, row, entrance): words}`."""
    cells = {}
    for table, (entrances, _) in TABLES.items():
        section = PAGE.read_text().split(f"## {table}\n")[1].split("\n## ")[0]
        words = dict(re.findall(r"^(\d+)\. (.*)$", section, re.MULTILINE))
        for line in section.splitlines()[3:]:
            if not line.startswith("| "):
                continue
            row, *found = line.strip("| ").split(" | ")
            for entrance, text in zip(entrances, found, strict=True):
                number = text.strip("[]")
                cells[table, row, entrance] = words.get(number, text)
    return cells


if __name__ == "__main__":
    PAGE.write_text(page())
