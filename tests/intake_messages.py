"""Messages that an intake takes, refuses or is told to answer otherwise."""

from composed_gateway import message

GOOD = message("A01/member.hl7", control="GOOD")
TEXT = GOOD.decode()


def with_msh(field, value):
    """The good message with another MSH field."""
    fields = TEXT.split("\r")[0].split("|")
    fields += [""] * (field - len(fields))
    fields[field - 1] = value
    return "\r".join(["|".join(fields), *TEXT.split("\r")[1:]]).encode()


WRONG, UNACCEPTABLE = message("A01/unmapped-class.hl7"), with_msh(12, "9.9")


def in_mode(raw, accept, application):
    fields = raw.split(b"\r")[0].split(b"|")
    fields += [b""] * (16 - len(fields))
    fields[14:16] = [accept.encode(), application.encode()]
    return b"\r".join([b"|".join(fields), *raw.split(b"\r")[1:]])
