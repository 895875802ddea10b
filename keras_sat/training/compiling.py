"""The recipe with which a model is compiled, by default that of the paper.

Reference:
- [Xie et al., 2020](https://arxiv.org/abs/2006.14536)
"""

import keras

from keras_sat import checks
from keras_sat import schedules
from keras_sat.config import saved
from keras_sat.training.attack_choice import OtherAttacks
from keras_sat.training.objectives import CrossEntropy
from keras_sat.weights import decay

# Of the paper's recipe for ResNet.
WEIGHT_DECAY = 1e-4
LABEL_SMOOTHING = 0.1


class Compiling:
    """Mixin of `SATModel` that compiles it, and saves how it was compiled."""

    def compile(
        self,
        optimizer="auto",
        loss="auto",
        metrics=None,
        weight_decay="auto",
        attack_schedule=None,
        check_every_batch=True,
        **kwargs,
    ):
        """Configures training.

        Args:
            optimizer: str or `keras.optimizers.Optimizer`. Defaults to SGD with
                learning rate 0.1 and Nesterov momentum 0.9.
            loss: str or `keras.losses.Loss` of labels and logits; one of
                probabilities (`from_logits=False`) is refused. Defaults to
                `CrossEntropy(label_smoothing=0.1)`.
            metrics: list of metrics of labels and adversarial logits.
            weight_decay: float >= 0. The loss gains `weight_decay / 2` times
                the sum of the squared kernels; batch normalization, biases and
                learnable activations are left out. Defaults to `1e-4` with the
                default optimizer, else `0.0`. The decoupled decay that an
                optimizer like AdamW has of its own is for kernels only, too.
            attack_schedule: `schedules.AttackSchedule`. How `attack` grows in
                the course of training. By default it does not grow.
            check_every_batch: bool. Whether every batch of a dataset is
                checked, or only the first one. The host checks a batch while
                the one before is trained on, so that NaN and wrong labels are
                named in an error. Defaults to `True`.
            **kwargs: other arguments of `keras.Model.compile`. Its
                `jit_compile`, bool or `"auto"`, says whether XLA compiles
                attacks and gradients on each replica, once for every size of
                batch; where replicas share batch statistics it compiles the
                attacks alone. `"auto"` means where there is an accelerator,
                and goes on without XLA, with a warning, where that cannot
                compile a layer; `True` is refused then.

        Raises:
            TypeError: If an argument is of a kind that cannot be used.
            ValueError: If an argument has a wrong value, like a loss of
                probabilities, or was built under another strategy.
        """
        if weight_decay == "auto":
            weight_decay = WEIGHT_DECAY if optimizer == "auto" else 0.0
        checks.real("weight_decay", weight_decay, least=0)
        if optimizer == "auto":
            optimizer = self._default_optimizer()
        loss = _loss_of_logits(loss)
        checks.takes_logits("metrics", metrics)
        checks.takes_logits("weighted_metrics", kwargs.get("weighted_metrics"))
        _check_schedule(attack_schedule)
        # Nothing is changed before all arguments are checked.
        self.weight_decay = weight_decay
        self.attack_schedule = attack_schedule
        self.check_every_batch = check_every_batch
        self._other_attacks = OtherAttacks()
        super().compile(optimizer, loss, metrics=metrics, **kwargs)
        decay.decay_kernels_only(self)

    def get_compile_config(self):
        """Returns the arguments of `compile`, in a form that Keras can save.

        Raises:
            TypeError: If a loss or a metric cannot be saved.
        """
        try:
            compiled = super().get_compile_config()
        except (TypeError, OSError) as error:
            checks.refuse(
                "loss and metrics",
                "be names, functions with names, or objects with a "
                "`get_config`, to be saved",
                checks.Described(f"from Keras: {str(error):.200}"),
                "Write functions with `def`.",
                TypeError,
            )
        return compiled | {
            "weight_decay": self.weight_decay,
            "check_every_batch": self.check_every_batch,
            "attack_schedule": saved("attack_schedule", self.attack_schedule),
        }

    def compile_from_config(self, config):
        """Compiles as `get_compile_config` described.

        Args:
            config: dict that `get_compile_config` returned.
        """
        self.compile(**keras.saving.deserialize_keras_object(config))
        # Keras loads the state of the optimizer into variables that exist.
        self.build_optimizer()

    def _default_optimizer(self):
        """Returns the optimizer of the paper, at a constant rate."""
        with self.distribute_strategy.scope():
            return keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)


def _loss_of_logits(loss):
    """Returns a loss, the default or a checked one."""
    if loss == "auto":
        return CrossEntropy(label_smoothing=LABEL_SMOOTHING)
    checks.takes_logits("loss", loss)
    if isinstance(loss, dict) and "class_name" in loss:
        # Keras would take the keys of the dict for the names of outputs.
        return keras.losses.get(loss)
    return loss


def _check_schedule(schedule):
    """Refuses what is neither an `AttackSchedule` nor `None`."""
    if not isinstance(schedule, schedules.AttackSchedule | None):
        checks.refuse(
            "attack_schedule",
            "be an AttackSchedule",
            schedule,
            error=TypeError,
        )
