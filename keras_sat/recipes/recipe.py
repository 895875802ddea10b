"""A recipe: a network, and the hyperparameters of its training."""

import dataclasses

import keras

from keras_sat import checks
from keras_sat import config
from keras_sat import schedules
from keras_sat.attacks import PGD
from keras_sat.data.augmentation import Augmentation
from keras_sat.models import by_name
from keras_sat.predictions.batch_statistics import STATISTICS
from keras_sat.recipes.objective_choice import objective_of
from keras_sat.training.objectives import CrossEntropy
from keras_sat.training.sat_model import SATModel

OPTIMIZERS = ("adamw", "sgd")
DECAYS = ("cosine", "exponential", "step")


@keras.saving.register_keras_serializable("keras_sat")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe(config.Config):
    """The network and the hyperparameters of a whole training.

    `replace` makes a copy with other values. All values can be written as JSON.

    Args:
        network: str. A name for `models.get`, like `"resnet50"`.
        network_options: dict. Arguments of its builder. Defaults to none.
        activation: str. Defaults to `"silu"`.
        image_size: int >= 1. Height and width of the images.
        epochs: int >= 1.
        batch_size: int >= 1. Images in a step, on all replicas together.
        optimizer: str. `"sgd"`, with momentum 0.9, or `"adamw"`. Defaults to
            `"sgd"`.
        nesterov: bool. Whether SGD uses Nesterov momentum. Defaults to `True`.
        learning_rate: float > 0. The highest learning rate, for batches of
            `reference_batch_size` images. It is scaled in proportion to
            `batch_size`.
        reference_batch_size: int >= 1. Defaults to `256`.
        decay: str. `"step"` multiplies the learning rate with `decay_factor` at
            each of `decay_epochs`; `"exponential"` does so after every
            `decay_epochs[0]` epochs; `"cosine"` lets it fall to 0 at the end.
        decay_epochs: tuple of float > 0. Needed unless `decay` is `"cosine"`.
            Defaults to none.
        decay_factor: float. Defaults to `0.1`.
        warmup_epochs: float >= 0. The learning rate rises linearly in these
            epochs. Defaults to `0.0`.
        warmup_start: float >= 0. The learning rate of the first step of a
            warm-up, but at most the highest one. Defaults to `0.0`.
        weight_decay: float >= 0. For kernels only. With SGD, half of it times
            the sum of their squares is added to the loss; with AdamW, it is
            decoupled.
        label_smoothing: float in `[0, 1]`. In the loss, not in the attack.
            Defaults to `0.0`.
        ema: float in `[0, 1)`. Momentum of the moving averages of all weights;
            `0` for no averages. Defaults to `0.0`.
        trades_beta: float >= 0. Weight of the penalty of TRADES; 0 for plain
            adversarial training. Defaults to `0.0`.
        mart_beta: float >= 0. Weight of the penalty of MART; 0 for another
            objective. Defaults to `0.0`.
        awp_gamma: float >= 0. Size of the adversarial perturbation of weights;
            0 for none. Defaults to `0.0`.
        epsilon, step_size, steps, clean_start_probability, best_iterate: the
            training attack; see `PGD`.
        attack_statistics: str. The statistics of batch normalization in the
            attack; see `SATModel`. Defaults to `"moving"`.
        epsilon_warmup_epochs: float >= 0. Radius and steps rise linearly from
            0 in these epochs. Defaults to `0.0`.
        step_size_warmup_epochs: float >= 0. The steps alone rise linearly from
            0 in these epochs. Defaults to `0.0`.
        eval_step_size, eval_steps: the attack of validation, with the same
            radius. Default to `1 / 255` and `10`.
        crop_padding: int >= 0. Pixels that validation cuts off as a margin; see
            `data.image_folder`. Defaults to `32`.
        augmentation: dict. Arguments of `data.Augmentation`. Defaults to none:
            the random crop and the flip alone.

    Raises:
        TypeError: If an argument is of the wrong kind.
        ValueError: If an argument has a value that is not listed here.

    Example:

    ```python
    recipe = keras_sat.recipes.imagenet_resnet(batch_size=512)
    train_ds = keras_sat.data.load(
        "imagenet2012", "train", training=True, **recipe.data_options
    )
    model = recipe.model()
    recipe.compile(model, steps_per_epoch=len(train_ds))
    model.fit(train_ds, epochs=recipe.epochs)
    ```
    """

    network: str
    network_options: dict = dataclasses.field(default_factory=dict)
    activation: str = "silu"
    image_size: int
    epochs: int
    batch_size: int
    optimizer: str = "sgd"
    nesterov: bool = True
    learning_rate: float
    reference_batch_size: int = 256
    decay: str
    decay_epochs: tuple = ()
    decay_factor: float = 0.1
    warmup_epochs: float = 0.0
    warmup_start: float = 0.0
    weight_decay: float
    label_smoothing: float = 0.0
    ema: float = 0.0
    trades_beta: float = 0.0
    mart_beta: float = 0.0
    awp_gamma: float = 0.0
    epsilon: float = 4 / 255
    step_size: float = 4 / 255
    steps: int = 1
    clean_start_probability: float = 0.0
    best_iterate: bool = False
    attack_statistics: str = "moving"
    epsilon_warmup_epochs: float = 0.0
    step_size_warmup_epochs: float = 0.0
    eval_step_size: float = 1 / 255
    eval_steps: int = 10
    crop_padding: int = 32
    augmentation: dict = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        self._builder()
        checks.one_of("optimizer", self.optimizer, OPTIMIZERS)
        checks.one_of("decay", self.decay, DECAYS)
        checks.one_of("attack_statistics", self.attack_statistics, STATISTICS)
        for name in (
            "image_size",
            "epochs",
            "batch_size",
            "reference_batch_size",
        ):
            checks.integer(name, getattr(self, name))
        checks.integer("crop_padding", self.crop_padding, least=0)
        checks.real("learning_rate", self.learning_rate, above=0)
        for name in (
            "warmup_epochs",
            "warmup_start",
            "weight_decay",
            "epsilon_warmup_epochs",
            "step_size_warmup_epochs",
        ):
            checks.real(name, getattr(self, name), least=0)
        checks.probability("ema", self.ema)
        checks.probability("label_smoothing", self.label_smoothing)
        # JSON has lists only.
        object.__setattr__(self, "decay_epochs", tuple(self.decay_epochs))
        self._check_decay()
        # These objects check the fields that they are made of.
        for name in ("attack", "eval_attack", "objective", "data_options"):
            getattr(self, name)

    def _check_decay(self):
        """Refuses epochs that do not fit to the decay of the learning rate."""
        if bool(self.decay_epochs) == (self.decay == "cosine"):
            checks.refuse(
                "decay_epochs",
                f"be given, unless `decay` is 'cosine'; it is {self.decay!r}",
                self.decay_epochs,
            )
        if self.decay == "cosine" and self.warmup_epochs >= self.epochs:
            checks.refuse(
                "warmup_epochs",
                f"be less than `epochs`={self.epochs}",
                self.warmup_epochs,
            )

    @property
    def image_shape(self):
        """The shape of an image, `(height, width, channels)`: one in color."""
        return self.image_size, self.image_size, 3

    def _builder(self):
        """Returns the function that builds the network; checks its name."""
        return by_name.builder("network", self.network)

    @property
    def stages(self):
        """The recipes of a training, in their order; the last one is this.

        A dict from the names of their folders, in which `train` saves what
        comes before, to recipes of the same network. Each begins with the
        weights that the one before it ends with.
        """
        return {"": self}

    @property
    def attack(self):
        """Returns the `PGD` to train against, at its full size."""
        return PGD(
            epsilon=self.epsilon,
            step_size=self.step_size,
            steps=self.steps,
            clean_start_probability=self.clean_start_probability,
            best_iterate=self.best_iterate,
        )

    @property
    def eval_attack(self):
        """Returns the `PGD` of validation."""
        return PGD(
            epsilon=self.epsilon,
            step_size=self.eval_step_size,
            steps=self.eval_steps,
        )

    @property
    def objective(self):
        """Returns the `Objective` of training."""
        return objective_of(self.trades_beta, self.mart_beta, self.awp_gamma)

    @property
    def data_options(self):
        """Returns options of `data.load` and `data.image_folder`, as a dict."""
        return {
            "batch_size": self.batch_size,
            "image_size": self.image_size,
            "crop_padding": self.crop_padding,
            "augmentation": Augmentation(**self.augmentation),
        }

    def model(self, classifier=None, **options):
        """Builds the model to be trained; see `compile`.

        Args:
            classifier: `keras.Model`. See `SATModel`. Defaults to the network
                of the recipe.
            **options: arguments of the builder of the network, such as
                `num_classes`. They replace those of the recipe.

        Returns:
            `SATModel`.
        """
        if classifier is None:
            defaults = {
                "activation": self.activation,
                "input_shape": self.image_shape,
            }
            options = defaults | self.network_options | options
            classifier = self._builder()(**options)
        return SATModel(
            classifier,
            self.attack,
            self.eval_attack,
            self.objective,
            attack_statistics=self.attack_statistics,
        )

    def compile(self, model, steps_per_epoch, **options):
        """Compiles a model for this recipe.

        Args:
            model: `SATModel`.
            steps_per_epoch: int >= 1. Batches in an epoch, which converts
                epochs of the recipe to steps.
            **options: other arguments of `SATModel.compile`.
        """
        checks.integer("steps_per_epoch", steps_per_epoch)
        arguments = {"learning_rate": self.schedule(steps_per_epoch)}
        if self.ema:
            arguments |= {"use_ema": True, "ema_momentum": self.ema}
        # AdamW decays weights itself, and then there is no penalty in the loss.
        penalty = self.weight_decay
        if self.optimizer == "adamw":
            penalty = 0.0
            optimizer = keras.optimizers.AdamW(
                weight_decay=self.weight_decay, **arguments
            )
        else:
            optimizer = keras.optimizers.SGD(
                momentum=0.9, nesterov=self.nesterov, **arguments
            )
        model.compile(
            optimizer,
            CrossEntropy(label_smoothing=self.label_smoothing),
            weight_decay=penalty,
            attack_schedule=self.attack_schedule(steps_per_epoch),
            **options,
        )

    def schedule(self, steps_per_epoch):
        """Returns the learning rate as a function of the number of batches.

        Args:
            steps_per_epoch: int >= 1.

        Returns:
            `keras.optimizers.schedules.LearningRateSchedule`.
        """
        rate = self.learning_rate * self.batch_size / self.reference_batch_size
        warmup = self.warmup_epochs * steps_per_epoch
        start = min(self.warmup_start, rate)
        if self.decay == "cosine":
            steps = self.epochs * steps_per_epoch
            return schedules.cosine_decay(rate, steps, warmup, start)
        lengths = [epoch * steps_per_epoch for epoch in self.decay_epochs]
        if self.decay == "step":
            decay = schedules.step_decay(rate, lengths, self.decay_factor)
        else:
            decay = keras.optimizers.schedules.ExponentialDecay(
                rate, lengths[0], self.decay_factor, staircase=True
            )
        return schedules.LinearWarmup(decay, warmup, start) if warmup else decay

    def attack_schedule(self, steps_per_epoch):
        """Returns the growth of the training attack.

        Args:
            steps_per_epoch: int >= 1.

        Returns:
            `schedules.AttackSchedule`, or `None` if it does not grow.
        """

        def ramp(epochs):
            steps = epochs * steps_per_epoch
            return schedules.LinearWarmup(1.0, steps) if steps else None

        if not (self.epsilon_warmup_epochs or self.step_size_warmup_epochs):
            return None
        return schedules.AttackSchedule(
            epsilon=ramp(self.epsilon_warmup_epochs),
            step_size=ramp(self.step_size_warmup_epochs),
        )
