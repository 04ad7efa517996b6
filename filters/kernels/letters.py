"""Whether texts have a letter at all."""

from typing import Any

import numpy as np
import numpy.typing as npt

from filters.kernels.buffers import TextBuffers
from filters.kernels.jit import kernel
from filters.kernels.unicode import LETTER, code_point, code_point_classes, width


def have_letters(text: TextBuffers) -> npt.NDArray[np.bool_]:
    """Whether any code point of each text is a letter (str.isalpha): bool (num_documents,)."""
    found = np.zeros(text.num_documents, np.bool_)
    _have_letters(text.data, text.offsets, code_point_classes(), found)
    return found


@kernel
def _have_letters(data: Any, offsets: Any, classes: Any, found: Any) -> None:
    for document in range(len(found)):
        position, limit = offsets[document], offsets[document + 1]
        while position < limit and not found[document]:
            found[document] = classes[code_point(data, position, limit)] & LETTER != 0
            position += width(data[position])
