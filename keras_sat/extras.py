"""Optional packages, which only some functions need."""

import contextlib


@contextlib.contextmanager
def needed(extra):
    """Makes a failed import say which extra of `keras_sat` to install.

    Args:
        extra: str. The name in `pip install 'keras_sat[name]'`.

    Raises:
        ImportError: If a package that is imported inside is missing.

    Example:

    ```python
    with extras.needed("plots"):
        from matplotlib.figure import Figure
    ```
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f"`{error.name}` must be installed. Received: {error}. "
            f"Install keras_sat with this extra: keras_sat[{extra}].",
            name=error.name,
        ) from error
