"""`keras-sat doctor`."""

import importlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys

from keras_sat_command import problems

PACKAGES = ("keras_sat", "keras", "tensorflow", "numpy")
# What `pip` writes of a requirement of an extra: its name, perhaps an extra of
# its own, and the extra that it is for.
REQUIREMENT = re.compile(r"([\w.-]+)(?:\[([\w-]+)\])?.*extra == .([\w-]+)")
# Extras for those who work on the package.
FOR_DEVELOPERS = ("docs", "package", "test")
# So many missing packages are named.
MAX_NAMES = 3
# Where Linux says how much memory a container may use.
LIMIT = "/sys/fs/cgroup/memory.max"


def doctor():
    """Shows versions, devices, memory, missing extras and settings."""
    sections = (
        ("Versions", _versions()),
        ("Devices", _devices()),
        ("Extras", _extras()),
        ("Settings", _settings()),
    )
    text = "\n\n".join(
        "\n".join([title, *(f"  {line}" for line in lines)])
        for title, lines in sections
    )
    try:
        importlib.import_module("keras_sat")
    except Exception as error:
        raise problems.CommandError(
            f"{text}\n\nkeras_sat cannot be imported: {error}"
        ) from error
    return text


def _versions():
    """Returns lines about Python and the packages."""
    yield f"Python {platform.python_version()}, {platform.platform()}"
    for name in PACKAGES:
        try:
            yield f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            yield f"{name} is not installed"


def _devices():
    """Returns lines about processors and memory."""
    total, free = _memory()
    yield f"{_cores()} CPU cores, {total:.1f} GiB of memory, {free:.1f} free"
    command = shutil.which("nvidia-smi")
    gpus = []
    if command:
        query = "--query-gpu=name,memory.total,memory.free"
        result = subprocess.run(
            [command, query, "--format=csv,noheader"],
            capture_output=True,
            text=True,
        )
        gpus = [f"GPU: {line}" for line in result.stdout.splitlines()]
    yield from gpus
    try:
        import tensorflow as tf
    except ImportError as error:
        yield f"TensorFlow cannot be imported: {error}"
        return
    seen = len(tf.config.list_physical_devices("GPU"))
    tpus = len(tf.config.list_physical_devices("TPU"))
    yield f"TensorFlow sees {seen} GPUs and {tpus} TPU cores"
    if len(gpus) > seen:
        yield "The extra `cuda` installs what TensorFlow needs for GPUs"


def _cores():
    """Returns the number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _memory():
    """Returns the whole memory and the free one, in GiB."""
    page = os.sysconf("SC_PAGE_SIZE")
    total = page * os.sysconf("SC_PHYS_PAGES")
    free = page * os.sysconf("SC_AVPHYS_PAGES")
    if os.path.exists(LIMIT):
        with open(LIMIT, encoding="ascii") as file:
            limit = file.read().strip()
        if limit.isdecimal():
            total, free = min(total, int(limit)), min(free, int(limit))
    return total / 2**30, free / 2**30


def _extras():
    """Returns a line for each extra, with the packages that it misses."""
    extras = sorted({extra for *_, extra in _requirements("keras_sat")})
    if not extras:
        yield "keras_sat is not installed by pip, so that none are known"
    for extra in extras:
        if extra in FOR_DEVELOPERS:
            continue
        missing = _missing("keras_sat", extra)
        if missing:
            names = ", ".join(missing[:MAX_NAMES])
            if len(missing) > MAX_NAMES:
                names += f" and {len(missing) - MAX_NAMES} more"
            fix = f"pip install 'keras_sat[{extra}]'"
            yield f"{extra}: {names} missing; {fix}"
        else:
            yield f"{extra}: installed"


def _requirements(package):
    """Returns what the extras of a package need.

    Args:
        package: str.

    Returns:
        List of the names of packages, their extras or `None`, and the extra of
        `package` that they are for.
    """
    try:
        texts = importlib.metadata.requires(package) or []
    except importlib.metadata.PackageNotFoundError:
        return []
    return [found.groups() for found in map(REQUIREMENT.match, texts) if found]


def _missing(package, extra):
    """Returns the names of the packages that an extra misses."""
    names = []
    for name, further, needed_for in _requirements(package):
        if needed_for != extra:
            continue
        if further:
            names += _missing(name, further)
        elif not _is_installed(name):
            names.append(name)
    return names


def _is_installed(name):
    """Tells if pip has installed a package."""
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _settings():
    """Returns lines about what changes speed and numbers."""
    one_dnn = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") != "0"
    yield f"oneDNN: {'on' if one_dnn else 'off'} (TF_ENABLE_ONEDNN_OPTS)"
    isa = os.environ.get("ONEDNN_MAX_CPU_ISA", "all that the CPU has")
    yield f"oneDNN instructions: {isa} (ONEDNN_MAX_CPU_ISA)"
    if "keras_sat" in sys.modules or _is_installed("tensorflow"):
        yield from _xla()
    for name in ("TF_XLA_FLAGS", "XLA_FLAGS", "TF_CONFIG"):
        if name in os.environ:
            yield f"{name}={os.environ[name]}"


def _xla():
    """Returns a line that says if networks are compiled by XLA here."""
    try:
        from keras_sat import distribution
    except ImportError:
        return
    used = "on" if distribution.has_accelerator() else "off, without a GPU"
    yield f"XLA: {used} (jit_compile='auto')"
