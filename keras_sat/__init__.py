"""Smooth Adversarial Training for Keras.

Trains image classifiers that withstand adversarial perturbations, and measures
how robust they are:

```python
model = keras_sat.SATModel(keras_sat.resnet(50, activation="silu"))
model.fit(train_ds)
report = keras_sat.evaluate_robustness(model, test_ds)
```

The names in this file are the public ones. README.md says where to find what,
CONTRIBUTING.md how the package is built.
"""

import keras

# What follows builds on TensorFlow, so another backend is refused first.
if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "`keras_sat` must run on the TensorFlow backend of Keras. Received: "
        f"backend={keras.backend.backend()!r}. Set the environment variable "
        "KERAS_BACKEND=tensorflow before Keras is imported."
    )

from keras_sat import activations
from keras_sat import attacks
from keras_sat import callbacks
from keras_sat import data
from keras_sat import distribution
from keras_sat import evaluation
from keras_sat import export
from keras_sat import models
from keras_sat import plots
from keras_sat import preprocessing
from keras_sat import pretrained
from keras_sat import recipes
from keras_sat import schedules
from keras_sat import torch_weights
from keras_sat import training
from keras_sat.activations import SmoothReLU
from keras_sat.activations import relu_with_gradient_of
from keras_sat.attacks import APGD
from keras_sat.attacks import FAB
from keras_sat.attacks import FGSM
from keras_sat.attacks import FGSMRS
from keras_sat.attacks import NFGSM
from keras_sat.attacks import PGD
from keras_sat.attacks import Attack
from keras_sat.attacks import AutoAttack
from keras_sat.attacks import SingleStep
from keras_sat.attacks import Square
from keras_sat.distribution import strategy
from keras_sat.evaluation import RobustnessReport
from keras_sat.evaluation import compare
from keras_sat.evaluation import convergence_curve
from keras_sat.evaluation import evaluate_robustness
from keras_sat.evaluation import robustness_curve
from keras_sat.loading import load_classifier
from keras_sat.loading import load_model
from keras_sat.models import activation_sites
from keras_sat.models import convert_activations
from keras_sat.models import convnext
from keras_sat.models import efficientnet
from keras_sat.models import load_official_checkpoint
from keras_sat.models import preact_resnet
from keras_sat.models import resnet
from keras_sat.models import resnext
from keras_sat.models import wide_resnet
from keras_sat.pretrained import load_preset
from keras_sat.pretrained import presets
from keras_sat.pretrained import save_preset
from keras_sat.programs import interruptible
from keras_sat.torch_weights import load_torch_checkpoint
from keras_sat.torch_weights import robustbench
from keras_sat.training import AWP
from keras_sat.training import MART
from keras_sat.training import TRADES
from keras_sat.training import AdversarialTraining
from keras_sat.training import CrossEntropy
from keras_sat.training import FreeTraining
from keras_sat.training import GradAlign
from keras_sat.training import Objective
from keras_sat.training import SATModel
from keras_sat.version import __version__
