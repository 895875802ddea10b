"""The command `keras-sat`.

It is a package of its own because whatever is imported from `keras_sat` imports
TensorFlow first, which takes seconds: `keras-sat --help` shall not wait for it.
Its files import TensorFlow, Keras and `keras_sat` inside functions only.
"""
