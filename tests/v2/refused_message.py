"""What is said of bytes that are no message."""

import pytest

from fhirgw.errors import MalformedMessage
from fhirgw.v2.codec import parse


def refused(raw, **arguments):
    with pytest.raises(MalformedMessage) as caught:
        parse(raw, **arguments)
    return caught.value.location, caught.value.err
