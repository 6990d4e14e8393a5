"""On which device stages compute that can choose: the processor, or a GPU that Torch sees."""

from __future__ import annotations

from mepipe.errors import UsageError

CPU = "cpu"


def check(device: str) -> None:
    """UsageError unless stages can compute on `device` here. Torch is imported for other devices than the processor."""
    if device == CPU:
        return
    kind, _, number = device.partition(":")
    if kind != "cuda" or not (number.isdecimal() or device == kind):
        msg = f"No device {device!r}. Devices are: cpu, cuda (the first GPU), cuda:1 (the second), and so on."
        raise UsageError(msg)
    if int(number or 0) >= count():
        msg = f"Nothing can be computed on {device!r} here: {seen()}.\nSay --device cpu, or mend it: mepipe doctor."
        raise UsageError(msg)


def prepare(device: str) -> None:
    """Set this process up for `device`: the same input gives the same bits, and float32 is not rounded to 10 bits."""
    if device == CPU:
        return
    import torch

    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def count() -> int:
    """How many GPUs Torch sees, 0 where it is not installed. Takes no memory on them, as asking for names does."""
    try:
        import torch
    except ImportError:
        return 0
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def seen() -> str:
    """What Torch sees, in words."""
    try:
        import torch
    except ImportError:
        return "Torch is not installed"
    if names := [torch.cuda.get_device_name(number) for number in range(count())]:
        return f"Torch {torch.__version__} sees " + ", ".join(f"cuda:{n} ({name})" for n, name in enumerate(names))
    built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
    return f"Torch {torch.__version__}, {built}, sees no GPU"
