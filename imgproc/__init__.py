"""Process images in parallel, measure it honestly, prove that every technique made the same pixels.

``compare``, ``process``, ``scale`` and ``techniques`` do the same for functions of your own; ``docs/own-functions.md``
shows how. What is named here is public, and changes by the rules of semantic versioning; all else may change.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from imgproc.errors import UserError as UserError
    from imgproc.library.api import ItemError as ItemError
    from imgproc.library.api import Processed as Processed
    from imgproc.library.api import compare as compare
    from imgproc.library.api import load as load
    from imgproc.library.api import process as process
    from imgproc.library.api import repeat as repeat
    from imgproc.library.api import scale as scale
    from imgproc.library.api import techniques as techniques
    from imgproc.library.comparison import Comparison as Comparison
    from imgproc.operations.contract import Operation as Operation
    from imgproc.parameters import Parameter as Parameter
    from imgproc.runs.record import Record as Record
    from imgproc.runs.tasks.sameness import Close as Close

#: The public names, and where they are: ``import imgproc`` alone loads none of them.
_PLACES = {
    "Close": "runs.tasks.sameness",
    "Comparison": "library.comparison",
    "ItemError": "library.api",
    "Operation": "operations.contract",
    "Parameter": "parameters",
    "Processed": "library.api",
    "Record": "runs.record",
    "UserError": "errors",
    "compare": "library.api",
    "load": "library.api",
    "process": "library.api",
    "repeat": "library.api",
    "scale": "library.api",
    "techniques": "library.api",
}
__all__ = ["__version__", *_PLACES]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"imgproc.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
