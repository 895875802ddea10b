"""Lets `python -m keras_sat_command` do what `keras-sat` does."""

from keras_sat_command.main import main

if __name__ == "__main__":
    main()
